"""A deleted project is erased when its time is over: with its texts and runs, in every copy, and nothing of another project."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operations_helpers import BASE, QuietQueue, adapter_of, finish, user

from rlhf_desktop.core.errors import BadInput, NotFound, StoreTrouble
from rlhf_desktop.core.platform import FileLock
from rlhf_desktop.feedback.attachments import AttachedText, with_files
from rlhf_desktop.feedback.conversations import Generator
from rlhf_desktop.feedback.judgements import Correction, Judgement, Ranking
from rlhf_desktop.operations import erase as erasing
from rlhf_desktop.operations import project_actions as actions
from rlhf_desktop.operations.blacken import ERASED, LEAST_CHARS, Words, _spellings
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.operations.project_erasing import erase_deleted, erase_expired, listed_adapters, runs_that_go
from rlhf_desktop.operations.rounds import adopt
from rlhf_desktop.operations.training import start_run
from rlhf_desktop.store.backups import back_up
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.evaluations import Adoption, EvaluationPair, StoredEvaluation

WORD = b"zaborowska"
SHARED = "What are your opening hours, please?"
TABLES = (
    "judgements",
    "conversations",
    "prompt_sets",
    "adoptions",
    "evaluations",
    "guidelines",
    "drafts",
    "exports",
    "split_exceptions",
)


@pytest.fixture
def queue(workspace):
    return QuietQueue(workspace)


@pytest.fixture
def other(store):
    made = store.projects.create("Other")
    store.projects.fix_split(made.id, [user(SHARED)], "train")
    judge(store, made, SHARED, ("From nine to five", "Ask at the desk"))
    return made


def judge(store, project, question, answers, said="Better than that"):
    _, asked = store.conversations.start(project.id, user(question))
    ids = tuple(node.id for node in store.conversations.add_answers(asked.id, list(answers)))
    verdict = [Ranking((1, 2)), Correction(said)]
    return store.judgements.add(Judgement(project.id, "me", ids, verdict[0], also=(verdict[1],), critique=f"{said} indeed"))


def fill(store, project):
    """Something in every table that has rows of a project."""
    judge(store, project, "Mrs Zaborowska's letter", ("Zaborowska was answered", "No letter of Zaborowska"), "Zaborowska is fine")
    judge(store, project, SHARED, ("From nine to five", "Zaborowska knows it"))
    store.conversations.create(project.id, "Zaborowska, empty")
    store.prompts.create_set(project.id, "set", [user("Mrs Zaborowska's letter"), user(SHARED)], "train")
    store.guidelines.save(project.id, "Zaborowska comes first", "me")
    store.drafts.save(project.id, "me", "label:x", {"text": "Zaborowska draft"})
    store.settings.set("instructions", "Be kind to Zaborowska", project.id)
    store.exports.note(project.id, Path("/elsewhere/out.jsonl"), "rankings", 99)
    evaluate(store, project)


def evaluate(store, project):
    _, asked = store.conversations.start(project.id, user("Is Zaborowska here?"), "label")
    sides = [Generator("tiny", "h", name, name) for name in ("old", "new")]
    said = [store.conversations.add_completions(asked.id, [NewCompletion(f"Zaborowska {g.adapter_name}")], g)[0] for g in sides]
    made = StoredEvaluation(project.id, "One", *(g.id for g in sides), seed=0)
    store.evaluations.add(made)
    store.evaluations.add_pairs(made.id, [EvaluationPair(0, said[0].id, said[1].id, True)])
    store.evaluations.adopt(Adoption(project.id, "me", evaluation_id=made.id))


@pytest.fixture
def gone(store, queue, project, other):
    fill(store, project)
    run = finish(start_run(store, queue, project, "reward", base=BASE, title="Taught"))
    back_up(store.connection, queue.workspace.backups / "feedback-2026-01-01.db")
    (queue.workspace.root / "reports").mkdir()
    (queue.workspace.root / "reports" / "one.html").write_text(f"<p>Zaborowska was answered</p><p>{SHARED}</p>")
    deleted = actions.delete_project(store, queue, project)
    assert run.path.is_dir()
    return deleted


def anywhere(workspace):
    files = [path for path in workspace.root.rglob("*") if path.is_file()]
    return [str(path.relative_to(workspace.root)) for path in files if WORD in path.read_bytes().lower()]


def everything_of(store, project):
    counted = {table: f"SELECT count(*) AS n FROM {table} WHERE project_id = ?" for table in TABLES}
    counted |= {
        "settings": "SELECT count(*) AS n FROM settings WHERE scope = ?",
        "projects": "SELECT count(*) AS n FROM projects WHERE id = ?",
    }
    return {table: store.connection.row(sql, (project.id,))["n"] for table, sql in counted.items()}


def test_nothing_of_an_erased_project_is_left_in_the_workspace(store, queue, workspace, gone, other):
    before = everything_of(store, gone)
    assert all(before.values()), before
    kept = everything_of(store, other)
    done = erase_deleted(store, queue, gone, confirmed=True)
    assert len(done.plan.judgements) == 2
    assert not any(everything_of(store, gone).values())
    assert anywhere(workspace) == []
    assert everything_of(store, other) == kept
    assert queue.runs() == []
    assert store.projects.deleted() == []
    assert store.connection.rows("PRAGMA foreign_key_check") == []
    with pytest.raises(NotFound):
        store.projects.get(gone.id)


def test_what_another_project_says_too_stays_there(store, queue, workspace, gone, other):
    run = finish(start_run(store, queue, other, "reward", base=BASE, title="Of the other"))
    rows = run.data.read_text()
    assert SHARED in rows
    erase_deleted(store, queue, gone, confirmed=True)
    assert run.data.read_text() == rows
    assert (workspace.root / "reports" / "one.html").read_text().endswith(f"<p>{SHARED}</p>")
    assert len(store.judgements.all(other.id)) == 1


def test_a_file_attached_in_both_projects_stays_in_the_other_one(store, queue, workspace, project, other):
    manual = AttachedText("manual.txt", "", "Hold the button for five seconds until the light blinks")
    for where, question in ((project, "Zaborowska asks how to reset it"), (other, "How is it reset?")):
        judge(store, where, with_files(question, [manual]), ("Hold it", "Pull the plug"))
        (workspace.root / "notes.txt").write_text("It says: Hold the button for five seconds until the light blinks")
    erase_deleted(store, queue, actions.delete_project(store, queue, project), confirmed=True)
    assert "light blinks" in (workspace.root / "notes.txt").read_text()
    assert anywhere(workspace) == []


def test_a_project_in_use_or_without_a_yes_is_never_erased(store, queue, project, other):
    fill(store, project)
    before = everything_of(store, project)
    with pytest.raises(BadInput, match="confirmed"):
        erase_deleted(store, queue, project, confirmed=False)
    with pytest.raises(BadInput, match="in use"):
        erase_deleted(store, queue, project, confirmed=True)
    assert everything_of(store, project) == before


def test_a_model_that_another_project_uses_stays_without_the_words(store, queue, workspace, project, other):
    fill(store, project)
    used = finish(start_run(store, queue, project, "dpo", base=BASE, title="Used"))
    unused = finish(start_run(store, queue, project, "dpo", base=BASE, title="Unused"))
    adopt(store, other, adapter_of(used), who="me")
    gone = actions.delete_project(store, queue, project)
    assert [info.title for info in listed_adapters(store, queue)] == ["Used"]
    found = runs_that_go(store, queue, gone)
    assert (found.going, found.staying) == ((unused.id,), ("Used",))
    erase_deleted(store, queue, gone, confirmed=True)
    assert used.adapter.is_dir()
    assert not unused.path.exists()
    assert anywhere(workspace) == []
    assert [info.title for info in listed_adapters(store, queue)] == ["Used"]


def test_only_what_is_due_is_erased_by_itself(store, queue, gone, workspace):
    assert erase_expired(store, queue) == ""
    assert store.projects.deleted() == [gone]
    said = erase_expired(store, queue, datetime.now(UTC) + timedelta(days=31))
    assert said == "Deleted long ago and now erased for good: “Support”."
    assert anywhere(workspace) == []


def test_what_cannot_be_erased_now_is_said_and_tried_again(store, queue, gone, workspace):
    later = datetime.now(UTC) + timedelta(days=31)
    held = FileLock(workspace.root / ".erasing.lock")
    assert held.acquire()
    assert "could not be erased yet" in erase_expired(store, queue, later)
    held.release()
    assert "now erased" in erase_expired(store, queue, later)


@pytest.mark.parametrize("step", ["bury", "scrub", "sweep", "discard", "rewrite"])
def test_an_erase_of_a_project_that_is_cut_short_is_finished_at_the_next_start(store, queue, gone, workspace, monkeypatch, step):
    def fails(*_words, **_more):
        raise StoreTrouble("cut short")

    monkeypatch.setattr(erasing, step, fails)
    with pytest.raises(StoreTrouble, match="cut short"):
        erase_deleted(store, queue, gone, confirmed=True)
    monkeypatch.undo()
    assert gone.id in json.loads(workspace.erasing.read_text())["projects"]
    store.connection.close_readers()
    with open_store(workspace) as again:
        assert "finished" in again.notice
        assert not any(everything_of(again, gone).values())
    assert queue.runs() == []
    assert anywhere(workspace) == []


_WORD = st.sampled_from(
    ["refund", "Refund", "a", "é", "naïve", "printer", "x1", "\n", '"q"', "<b>", "|", "*very*", "unbelievably", "ß"]
)
_TEXT = st.lists(_WORD, min_size=1, max_size=9).map(" ".join)


@given(st.lists(_TEXT, min_size=1, max_size=6), st.lists(_TEXT, max_size=4), st.data())
def test_texts_are_found_as_if_each_was_looked_for_in_every_spelling(going, around, data):
    """Looked up by their beginnings, as a whole project has too many: compared with looking for each one everywhere."""
    texts = tuple(sorted({text for text in going if len(text.strip()) >= LEAST_CHARS}, key=lambda text: (-len(text), text)))
    words = Words(frozenset(), frozenset(), texts)
    spelled = [form for text in texts for form in _spellings(text)]
    file = "".join(data.draw(st.permutations([*around, *spelled[:: max(1, len(spelled) // 5)]]))) if spelled else " ".join(around)
    expected = file
    for text in texts if len(file) >= LEAST_CHARS else ():
        for form in _spellings(text):
            expected = expected.replace(form, ERASED)
    assert words.blackened(file) == expected
