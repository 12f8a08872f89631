import pytest

from rlhf_desktop.operations.conversations import find_conversations, hide_conversation
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.shelf import ConversationQuery


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "feedback.db") as opened:
        yield opened


@pytest.fixture
def project(store):
    made = store.projects.create("P")
    for n in range(9):
        store.conversations.start(made.id, [{"role": "user", "content": f"blender {n}"}])
    return made


def titles(page):
    return [row.conversation.title for row in page.rows]


def test_deleted_conversations_are_found_nowhere_and_come_back(store, project):
    newest = find_conversations(store, project, ConversationQuery()).rows[0].conversation
    hide_conversation(store, project, newest.id)
    assert len(find_conversations(store, project, ConversationQuery()).rows) == 8
    assert newest.title not in titles(find_conversations(store, project, ConversationQuery(text="blender")))
    hide_conversation(store, project, newest.id, False)
    assert titles(find_conversations(store, project, ConversationQuery()))[0] == newest.title


def test_pages_are_full_and_none_is_missed_though_some_are_deleted(store, project):
    everything = find_conversations(store, project, ConversationQuery(), limit=100).rows
    for row in everything[1:4]:
        hide_conversation(store, project, row.conversation.id)
    seen, after = [], None
    while True:
        page = find_conversations(store, project, ConversationQuery(), after, 2)
        seen += titles(page)
        after = page.next
        if after is None:
            break
        assert len(page.rows) >= 2
    assert seen == [everything[n].conversation.title for n in (0, 4, 5, 6, 7, 8)]
