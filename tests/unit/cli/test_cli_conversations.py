"""`conversations list | export`."""

import json

import pytest

from rlhf_desktop.store.database import Store


@pytest.fixture
def talked(cli, tmp_path):
    """Two conversations in the default project."""
    assert cli("conversations", "list").code == 0  # makes the workspace
    with Store.open(cli.workspace.database) as store:
        project = store.projects.all()[0]
        made = []
        for text in ("Is the kettle safe?", "Where is my parcel?"):
            conversation, question = store.conversations.start(project.id, [{"role": "user", "content": text}])
            store.conversations.add_answers(question.id, ["Yes."])
            made.append(conversation.id)
    return made


def test_conversations_are_listed_and_found_by_words(cli, talked):
    said = cli("conversations", "list", "--json").json["conversations"]
    assert {row["conversation"] for row in said} == set(talked)
    (found,) = cli("conversations", "list", "--search", "kettle", "--json").json["conversations"]
    assert found["conversation"] == talked[0]
    assert "Is the kettle safe?" in cli("conversations", "list").out


def test_one_is_written_as_markdown_and_as_json(cli, talked, tmp_path):
    assert cli("conversations", "export", talked[0], "--out", tmp_path / "talk.md").code == 0
    assert "## User\n\nIs the kettle safe?\n\n## Assistant\n\nYes." in (tmp_path / "talk.md").read_text("utf-8")
    cli("conversations", "export", talked[1], "--out", tmp_path / "talk.json")
    assert [m["content"] for m in json.loads((tmp_path / "talk.json").read_text("utf-8"))["messages"]] == [
        "Where is my parcel?",
        "Yes.",
    ]


def test_an_unknown_or_a_shared_beginning_is_said_in_a_sentence(cli, talked, tmp_path):
    missing = cli("conversations", "export", "nothing-like-it", "--out", tmp_path / "talk.md")
    assert (missing.code, "No conversation begins with" in missing.err) == (1, True)
    both = cli("conversations", "export", "", "--out", tmp_path / "talk.md")
    assert (both.code, "Several conversations" in both.err) == (1, True)
