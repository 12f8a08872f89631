"""Conversations as files, and back through the program's own importers."""

import json

import pytest

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.feedback.conversations import Generator
from rlhf_desktop.feedback.judgements import Judgement, Thumbs
from rlhf_desktop.operations.conversation_export import as_markdown, closed, export_conversation, file_name, transcript
from rlhf_desktop.operations.erase import plan_erasure
from rlhf_desktop.operations.feedback import preview_import
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.database import Store


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "workspace").ensure()


@pytest.fixture
def store(workspace):
    with Store.open(workspace.root / "feedback.db") as opened:
        yield opened


@pytest.fixture
def project(store):
    return store.projects.create("Shop")


@pytest.fixture
def said(store, project):
    """A question with two answers, and one more after the second."""
    conversation, question = store.conversations.start(
        project.id, [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Der Mixer ist kaputt."}]
    )
    made = [NewCompletion("No.", 1, "end", 2), NewCompletion("Sorry:\n\n```\nmixer --help", 1, "length", 9, thought="Hm.")]
    _, second = store.conversations.add_completions(question.id, made, Generator("tiny", "h"))
    store.conversations.add_message(conversation.id, second.id, "user", "Schnell!")
    return conversation.id, second


def test_the_branch_on_screen_is_written_with_who_said_it(store, said, workspace, tmp_path):
    path = export_conversation(store, workspace, said[0], tmp_path / "out.json")
    written = json.loads(path.read_text("utf-8"))
    assert written["title"] == "Der Mixer ist kaputt."
    assert [(m["role"], m["content"]) for m in written["messages"]] == [
        ("system", "Be brief."),
        ("user", "Der Mixer ist kaputt."),
        ("assistant", "Sorry:\n\n```\nmixer --help"),
        ("user", "Schnell!"),
    ]
    answer = written["messages"][2]
    assert (answer["model"], answer["thought"], answer["cut"]) == ("tiny", "Hm.", True)
    assert "model" not in written["messages"][1]


@pytest.mark.parametrize("name", ["out.json", "out.md"])
def test_a_file_comes_back_through_the_importer(store, said, workspace, tmp_path, name):
    store.conversations.set_active_leaf(said[0], said[1].id)
    path = export_conversation(store, workspace, said[0], tmp_path / name)
    preview = preview_import(path)
    (row,) = preview.rows
    assert row.prompt == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Der Mixer ist kaputt."}]


def test_a_block_of_code_left_open_does_not_swallow_what_follows(store, said):
    text = as_markdown(transcript(store, said[0]))
    assert text.startswith("# Der Mixer ist kaputt.\n\n## System\n\nBe brief.\n\n## User\n\n")
    assert "```\nmixer --help\n```\n\n## User\n\nSchnell!\n" in text
    assert closed("````\n```\nx") == "````\n```\nx\n````"
    assert closed("```\nx\n```\n\nand `this`") == "```\nx\n```\n\nand `this`"


def test_an_unknown_ending_and_an_empty_conversation_are_refused(store, project, said, workspace, tmp_path):
    with pytest.raises(BadInput, match="cannot be written"):
        export_conversation(store, workspace, said[0], tmp_path / "out.docx")
    with pytest.raises(BadInput, match="Nothing has been said"):
        export_conversation(store, workspace, store.conversations.create(project.id).id, tmp_path / "out.md")
    assert list(tmp_path.glob("out.*")) == []


@pytest.mark.parametrize(
    ("title", "name"),
    [("Why? a/b: “c”", "Why a b “c”.md"), ("...", "Conversation.md"), ("x" * 90, "x" * 60 + ".md"), ("a\nb", "a b.md")],
)
def test_a_files_name_is_one_every_system_takes(title, name):
    assert file_name(title) == name


def test_an_erase_names_the_conversations_that_hold_what_goes_also_if_it_was_judged_later(
    store, project, said, workspace, tmp_path
):
    kept = export_conversation(store, workspace, said[0], tmp_path / "holds it.md")
    other, _ = store.conversations.start(project.id, [{"role": "user", "content": "Wie spät ist es?"}])
    export_conversation(store, workspace, other.id, tmp_path / "another.md")
    export_conversation(store, workspace, said[0], workspace.root / "within.md")
    judgement = store.judgements.add(Judgement(project.id, "me", (said[1].id,), Thumbs(False)))
    erasure = plan_erasure(store, workspace, project, [judgement.id])
    assert [export.path for export in erasure.exports] == [str(kept)]
