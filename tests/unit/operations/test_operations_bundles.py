"""A colleague's erasures: said, asked for, and carried out on disk."""

import json
import os
import signal

import pytest
from operations_helpers import user

from rlhf_desktop.core import lockedfile
from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.operations.bundles import (
    erasure_words,
    export_bundle,
    inspect_bundle,
    merge_bundle,
    undo_last_merge,
    undone_words,
)
from rlhf_desktop.operations.erase import erase
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.operations.report_pages import Answers, Report, Section, write_report
from rlhf_desktop.store import backups, driver
from rlhf_desktop.store.backups import back_up
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.erasing import bury, with_texts
from tests.encrypted import PASSPHRASE, cheap_kdf

SECRET, ANSWER = "Mrs Zaborowska's biopsy", "Zaborowska should\nworry"
WORD = b"zaborowska"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A kill loses nothing that was written: only a power cut would need it to be forced to the disk."""
    monkeypatch.setattr(driver, "SYNCHRONOUS", "OFF")


def ask(store, project, text, *answers):
    _, question = store.conversations.start(project.id, user(text))
    ids = tuple(node.id for node in store.conversations.add_answers(question.id, list(answers)))
    return store.judgements.add(Judgement(project.id, "me", ids, Ranking((2, 1))))


@pytest.fixture
def colleague(tmp_path):
    """Bundles of a colleague: before and after they erased something and added something else."""
    there = Workspace(tmp_path / "there").ensure()
    with Store.open(there.database) as store:
        project = store.projects.create("Support")
        chosen = ask(store, project, SECRET, ANSWER, "Call Zaborowska's ward")
        ask(store, project, "Opening hours?", "Nine to five", "Ask at the desk")
        export_bundle(store, project, tmp_path / "before.zip")
        erase(store, there, project, [chosen.id], confirmed=True)
        ask(store, project, "And on Sundays?", "Closed", "Open")
        export_bundle(store, project, tmp_path / "after.zip")
    return tmp_path / "before.zip", tmp_path / "after.zip"


def a_workspace(root, before) -> Workspace:
    """One that has the colleague's feedback, in a backup and a report too."""
    workspace = Workspace(root).ensure()
    with Store.open(workspace.database) as store:
        project = store.projects.create("Support")
        merge_bundle(store, project, before)
        back_up(store.connection, workspace.backups / "feedback-2026-01-01.db")
    write_report(Report("one", "Kept", "", (Section("A", (Answers(SECRET, (("before", ANSWER),)),)),)), root / "reports")
    assert len(anywhere(root)) >= 4
    return workspace


def anywhere(folder) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and WORD in path.read_bytes().lower()]


def asked(store) -> list[str]:
    return sorted(row["content"] for row in store.connection.rows("SELECT content FROM messages WHERE role = 'user'"))


def test_a_merge_that_would_erase_is_refused_until_somebody_has_chosen(colleague, tmp_path):
    before, after = colleague
    workspace = a_workspace(tmp_path / "here", before)
    with open_store(workspace) as store:
        project = store.projects.by_name("Support")
        seen = inspect_bundle(store, project, after)
        assert (seen.takes, seen.takes_messages, seen.takes_prompts, seen.erases) == (1, 3, 0, True)
        with pytest.raises(BadInput, match="would erase 1 judgement and 3 messages of “Support” for good, so nothing was merged"):
            merge_bundle(store, project, after)
        assert len(asked(store)) == 2
        done = merge_bundle(store, project, after, erasures=False)
        assert (done.added["judgements"], done.erased) == (1, 0)
        assert asked(store) == ["And on Sundays?", SECRET, "Opening hours?"]
        with Store.open(workspace.backups / "before-merge.db") as kept:
            assert asked(kept) == [SECRET, "Opening hours?"]


def test_a_colleagues_erasure_goes_from_every_copy_and_what_is_kept_is_backed_up_first(colleague, tmp_path):
    before, after = colleague
    workspace = a_workspace(tmp_path / "here", before)
    with open_store(workspace) as store:
        project = store.projects.by_name("Support")
        done = merge_bundle(store, project, after, erasures=True)
        assert (done.added["judgements"], done.erased) == (1, 1)
        assert asked(store) == ["And on Sundays?", "Opening hours?"]
        assert merge_bundle(store, project, after).erased == 0, "merging again changes nothing, and asks nothing"
    assert anywhere(workspace.root) == []
    with Store.open(workspace.backups / "before-merge.db") as kept:
        assert asked(kept) == ["Opening hours?"]


def test_a_prompt_that_a_colleague_erased_goes_from_files_too(tmp_path):
    there, here = (Workspace(tmp_path / name).ensure() for name in ("there", "here"))
    with Store.open(there.database) as theirs, open_store(here) as store:
        project, their_project = store.projects.create("Support"), theirs.projects.create("Support")
        theirs.prompts.create_set(their_project.id, "set", [user(SECRET), user("Opening hours?")])
        export_bundle(theirs, their_project, tmp_path / "before.zip")
        merge_bundle(store, project, tmp_path / "before.zip")
        bury(theirs, [theirs.prompts.prompts(their_project.id)[0].id])
        export_bundle(theirs, their_project, tmp_path / "after.zip")
        (here.root / "prompts.jsonl").write_text(json.dumps({"prompt": user(SECRET)}) + "\n")
        with pytest.raises(BadInput, match="would erase 1 prompt of"):
            merge_bundle(store, project, tmp_path / "after.zip")
        merge_bundle(store, project, tmp_path / "after.zip", erasures=True)
        assert [prompt.prompt for prompt in store.prompts.prompts(project.id)] == [user("Opening hours?")]
    assert anywhere(here.root) == []


def test_a_merge_that_is_refused_leaves_no_plan(colleague, tmp_path, monkeypatch):
    before, after = colleague
    workspace = a_workspace(tmp_path / "here", before)
    with open_store(workspace) as store, monkeypatch.context() as patch:

        def refused(*_args, **_kwargs):
            raise BadInput("It was refused.")

        patch.setattr("rlhf_desktop.operations.bundles.merge_rows", refused)
        with pytest.raises(BadInput, match="refused"):
            merge_bundle(store, store.projects.by_name("Support"), after, erasures=True)
    assert not workspace.erasing.exists()
    with open_store(workspace) as store:
        assert len(asked(store)) == 2


def killed_merging(workspace: Workspace, bundle, at: int) -> bool:
    """Merge with erasures in a process that is killed before change number `at`. Whether it lived that long."""
    child = os.fork()
    if child == 0:
        patch, count = pytest.MonkeyPatch(), [0]

        def watched(real):
            def one(*args, **kwargs):
                count[0] += 1
                if count[0] == at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)

            return one

        try:
            with open_store(workspace) as store:
                for module, name in ((os, "replace"), (os, "unlink"), (os, "fsync"), (backups.shutil, "copyfile")):
                    patch.setattr(module, name, watched(getattr(module, name)))
                patch.setattr(driver.Connection, "_between", watched(driver.Connection._between))
                merge_bundle(store, store.projects.by_name("Support"), bundle, erasures=True)
            os._exit(0)
        finally:
            os._exit(1)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_a_merge_that_is_killed_while_it_erases_is_finished_or_was_never_begun(colleague, tmp_path, step):
    before, after = colleague
    at, ends = 1, set()
    while True:
        workspace = a_workspace(tmp_path / f"here{at}", before)
        alive = not killed_merging(workspace, after, at)
        with open_store(workspace) as store:
            gone = SECRET not in asked(store)
            assert bool(anywhere(workspace.root)) is not gone, "all of it, or nothing of it"
            assert len(asked(store)) == 2, "merged with its erasures, or not at all"
            merge_bundle(store, store.projects.by_name("Support"), after, erasures=True)
            assert asked(store) == ["And on Sundays?", "Opening hours?"]
        assert anywhere(workspace.root) == []
        assert not workspace.erasing.exists()
        ends.add(gone)
        if alive:
            break
        at += step
    assert ends == {True, False}
    assert at > 9


# --- one by one, and undone ---------------------------------------------------------------------------------------------------


@pytest.fixture
def several(tmp_path):
    """A workspace with three questions of a colleague's, and a bundle that erases them all and brings another."""
    there, here = Workspace(tmp_path / "there").ensure(), Workspace(tmp_path / "here").ensure()
    with Store.open(there.database) as theirs, Store.open(here.database) as store:
        project, mine = theirs.projects.create("Support"), store.projects.create("Support")
        asked_for = [ask(theirs, project, f"Question {n} about a printer", f"good {n}", f"bad {n}") for n in range(3)]
        theirs.prompts.create_set(project.id, "set", [user("Question 1 about a printer"), user("Only in the set")])
        export_bundle(theirs, project, tmp_path / "first.zip")
        merge_bundle(store, mine, tmp_path / "first.zip")
        prompts = [prompt.id for prompt in theirs.prompts.prompts(project.id)]
        going = with_texts(theirs.connection, [j.id for j in asked_for])
        bury(theirs, [*prompts, *going.judgements, *going.messages])
        ask(theirs, project, "And on Sundays?", "Closed", "Open")
        export_bundle(theirs, project, tmp_path / "second.zip")
        yield store, mine, tmp_path / "second.zip"


def test_each_erasure_is_said_with_what_it_would_take_and_whose_it_is(several):
    store, project, path = several
    found = inspect_bundle(store, project, path).erasures
    assert sorted(erasure_words(one) for one in found) == [
        "“Only in the set”: 1 prompt",
        "“Question 0 about a printer”: 1 judgement and 2 answers, judged by me",
        "“Question 1 about a printer”: 1 judgement, 2 answers and 1 prompt, judged by me",
        "“Question 2 about a printer”: 1 judgement and 2 answers, judged by me",
    ]


@pytest.mark.parametrize("chosen", [(), (1,), (0, 2), (0, 1, 2, 3)])
def test_only_the_erasures_that_were_accepted_are_carried_out(several, chosen):
    store, project, path = several
    found = sorted(inspect_bundle(store, project, path).erasures, key=lambda one: one.opening)
    done = merge_bundle(store, project, path, erasures=[found[n].key for n in chosen])
    left = [found[n].opening for n in range(4) if n not in chosen and n > 0]
    assert [text for text in asked(store) if "printer" in text or "Only" in text] == sorted(t for t in left if "printer" in t)
    assert done.added["judgements"] == 1
    again = inspect_bundle(store, project, path)
    assert sorted(one.opening for one in again.erasures) == [found[n].opening for n in range(4) if n not in chosen]


def test_an_erasure_that_the_bundle_does_not_bring_is_refused(several):
    store, project, path = several
    with pytest.raises(BadInput, match="no erasure “nonsense”"):
        merge_bundle(store, project, path, erasures=["nonsense"])
    assert len(asked(store)) == 3


def test_erasures_that_cannot_go_without_one_another_are_one(several):
    store, project, path = several
    first, second, _third = store.judgements.all(project.id)
    store.judgements.add(Judgement(project.id, "Ada", second.displayed, Ranking((1, 1)), supersedes=first.id))
    found = inspect_bundle(store, project, path).erasures
    assert sorted((one.judgements, one.people) for one in found) == [(0, ()), (1, ("me",)), (3, ("me", "Ada"))]


def test_an_undone_merge_says_what_went_what_stayed_and_what_stays_erased(several):
    store, project, path = several
    found = sorted(inspect_bundle(store, project, path).erasures, key=lambda one: one.opening)
    merge_bundle(store, project, path, erasures=[found[1].key])
    new = next(j for j in store.judgements.all(project.id) if "Sundays" in _question(store, j))
    store.judgements.add(Judgement(project.id, "Ada", new.displayed, Ranking((1, 2))))
    store.audit.note("trained", project=project.id)
    said = undone_words(undo_last_merge(store, project))
    assert said == (
        "The merge is undone: 1 judgement went. 1 conversation stayed: what you have added since is about them. "
        "1 judgement that it erased stays erased. 1 run was started since, and may have learned from it."
    )
    assert asked(store) == ["And on Sundays?", "Question 1 about a printer", "Question 2 about a printer"]
    undo_last_merge(store, project)  # the one before it
    assert asked(store) == ["And on Sundays?"]
    with pytest.raises(BadInput, match="no merge to undo"):
        undo_last_merge(store, project)


def _question(store, judgement) -> str:
    node = store.conversations.message(judgement.displayed[0])
    return store.conversations.tree(node.conversation_id).path(node.id)[0].content


def test_an_encrypted_bundle_can_lie_in_the_workspace_itself(store, project, monkeypatch):
    monkeypatch.setattr(lockedfile, "new_kdf", cheap_kdf)
    ask(store, project, "A question", "one", "two")
    path = store.path.with_name("mine.rlhf.locked")
    export_bundle(store, project, path, PASSPHRASE)
    with lockedfile.unlocked(path, PASSPHRASE, path.parent) as plain:
        assert inspect_bundle(store, project, plain).project == project.name
