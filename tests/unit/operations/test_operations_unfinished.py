import pytest

from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.feedback.conversations import Generator
from rlhf_desktop.operations.unfinished import forget_unfinished, note_unfinished, recover_unfinished
from rlhf_desktop.store.database import Store

MADE = Generator("Tiny", "hash", "Kinder", "adapter-hash", Sampling(temperature=0.3))


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "feedback.db") as opened:
        yield opened


@pytest.fixture
def asked(store):
    project = store.projects.create("P")
    conversation, leaf = store.conversations.start(project.id, [{"role": "user", "content": "q"}])
    return project, conversation, leaf


def test_noted_answers_come_back_once_with_what_made_them(store, asked):
    project, conversation, leaf = asked
    note_unfinished(store, project.id, leaf.id, MADE, 7, [("half an ans", ""), ("", ""), ("other", "Hm.")])
    assert recover_unfinished(store, project) == conversation.id
    nodes = store.conversations.tree(conversation.id).children(leaf.id)
    kept = [(node.content, node.finish, node.seed) for node in nodes]
    assert kept == [("half an ans", "cancelled", 7), ("other", "cancelled", 7)]
    assert [node.thought for node in nodes] == ["", "Hm."]
    assert store.conversations.generators([nodes[0].generator_id])[MADE.id] == MADE
    assert recover_unfinished(store, project) is None


def test_what_was_forgotten_or_empty_does_not_come_back(store, asked):
    project, _, leaf = asked
    note_unfinished(store, project.id, leaf.id, MADE, 7, [("half", "")])
    forget_unfinished(store, project.id)
    assert recover_unfinished(store, project) is None
    note_unfinished(store, project.id, leaf.id, MADE, 7, [("", ""), (" ", "")])
    assert recover_unfinished(store, project) is None


def test_a_question_that_is_gone_is_no_trouble(store, asked):
    project, _, _ = asked
    note_unfinished(store, project.id, "erased", MADE, 7, [("half", "")])
    assert recover_unfinished(store, project) is None
