"""The audit log over the whole workspace: erases, restores, runs, reports, cards; and the head in all that leaves."""

from contextlib import closing

import pytest
from operations_helpers import user

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.feedback.bundles import open_bundle
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.hub.cards import AdapterCard, Statement
from rlhf_desktop.hub.push import PlannedFile, Pushed, PushPlan
from rlhf_desktop.operations.audit import SOMEBODY, act_named, check_log, head_words, heads_of_file, lines, note_published
from rlhf_desktop.operations.bundles import export_bundle
from rlhf_desktop.operations.erase import erase
from rlhf_desktop.operations.report import _log
from rlhf_desktop.operations.report_pages import Report, write_report
from rlhf_desktop.operations.restoring import find_backup, restore
from rlhf_desktop.operations.rounds import adopt
from rlhf_desktop.store.audit import AuditLog
from rlhf_desktop.store.backups import back_up
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.driver import Connection
from rlhf_desktop.store.salvage import salvage


def ask(store, project, text="Why?", who="Ada"):
    _, question = store.conversations.start(project.id, user(text))
    ids = tuple(node.id for node in store.conversations.add_answers(question.id, ["good answer", "bad answer"]))
    return store.judgements.add(Judgement(project.id, who, ids, Ranking((2, 1))))


def acts(store) -> list[str]:
    return [entry.act for entry in reversed(store.audit.entries())]


def test_an_erase_is_noted_once_with_counts_and_the_name_is_forgotten(store, workspace, project):
    store.settings.set("who", "Bo")
    made = ask(store, project, "Mrs Zaborowska's biopsy")
    erase(store, workspace, project, [made.id], confirmed=True)
    assert acts(store) == ["project created", "judged", "erased"]
    (entry,) = store.audit.entries(acts=["erased"])
    assert (entry.facts["judgements"], entry.facts["messages"], entry.project) == (1, 3, project.id)
    assert [line.who for line in lines(store, store.audit.entries(limit=2))] == ["Bo", SOMEBODY]
    assert check_log(store).problems == ()
    assert b"Ada" not in b"".join(path.read_bytes() for path in workspace.root.rglob("*") if path.is_file())


def test_after_a_restore_the_chain_goes_on_and_names_the_head_that_was_replaced(store, workspace, project):
    ask(store, project)
    kept = store.audit.head()
    back_up(store.connection, workspace.backups / "by-hand-1.db")
    ask(store, project, "What?")
    between = store.audit.head()
    ask(store, project, "Who?")
    replaced = store.audit.head()
    store.close()
    restore(workspace, find_backup(workspace, "by-hand-1"))
    with Store.open(workspace.database) as back:
        (entry,) = back.audit.entries(acts=["restored"])
        assert (entry.seq, entry.previous) == (kept.seq + 1, kept.hash)
        assert entry.facts["replaced"] == vars(replaced)
        assert check_log(back, [kept]).problems == ()
        (said,) = check_log(back, [replaced]).problems
        assert f"replaced by a restore on {entry.at[:10]}, as entry {entry.seq} says" in said
        (said,) = check_log(back, [between]).problems
        assert said.startswith(f"Entries {entry.seq} to {replaced.seq} of then went with a restore")


def test_starting_empty_says_what_there_was(store, workspace, project):
    ask(store, project)
    head = store.audit.head()
    store.close()
    restore(workspace, None)
    with Store.open(workspace.database) as back:
        (entry,) = back.audit.entries()
        assert (entry.act, entry.seq, entry.facts["replaced"]) == ("restored", 1, vars(head))


def test_a_bundle_names_the_head_and_is_found_in_the_log_later(store, workspace, project, tmp_path):
    ask(store, project)
    head = store.audit.head()
    path = tmp_path / "b.zip"
    export_bundle(store, project, path)
    assert open_bundle(path).manifest.audit == str(head)
    assert acts(store)[-1] == "exported"
    ask(store, project, "What?")
    found = check_log(store, files=[path])
    assert (found.problems, found.known, found.chain.entries) == ((), 1, head.seq + 2)
    with Store.open(tmp_path / "other.db") as other:
        assert check_log(other, files=[path]).problems == (f"Entries 1 to {head.seq} are missing: the log ends at 0.",)


def test_a_report_and_a_card_name_the_head(store, project, tmp_path):
    assert heads_of_named(tmp_path, head_words(store)) == [store.audit.head()]
    card = AdapterCard("Warm", "ppo", "tiny", "h", log=head_words(store)).render(Statement())
    assert heads_of_named(tmp_path, card) == [store.audit.head()]
    with pytest.raises(BadInput, match="names no head"):
        heads_of_named(tmp_path, AdapterCard("Warm", "ppo", "tiny", "h").render(Statement()))
    with pytest.raises(NotFound):
        heads_of_file(tmp_path / "none.md")


def test_the_report_of_a_run_names_the_head_in_both_its_files(store, workspace, project, tmp_path):
    for form in vars(write_report(Report("one", "One", "", (_log(store),)), tmp_path / "reports")).values():
        assert heads_of_file(form) == [store.audit.head()]
    with Store.open(tmp_path / "empty.db") as empty:
        assert _log(empty).blocks == ()


def test_what_is_saved_of_a_damaged_database_goes_on_with_its_log(store, workspace, project, tmp_path):
    ask(store, project)
    backup = back_up(store.connection, tmp_path / "backup.db")
    for number in range(3):
        ask(store, project, f"Question {number}")
    head = store.audit.head()
    damaged = back_up(store.connection, tmp_path / "damaged.db")
    with closing(Connection(backup)) as into:
        assert salvage(damaged, into) == 3
        assert (AuditLog(into).head(), AuditLog(into).verify().problem) == (head, "")


def test_of_another_chain_nothing_is_saved_into_the_log(store, workspace, project, tmp_path):
    ask(store, project)
    with Store.open(tmp_path / "other.db") as other:
        for number in range(9):
            other.audit.note("trained", who="Bo", number=number)
        kept = store.audit.head()
        salvage(other.path, store.connection)
    assert (store.audit.head(), store.audit.verify().problem) == (kept, "")


def heads_of_named(folder, text):
    (folder / "file.md").write_text(text, "utf-8")
    return heads_of_file(folder / "file.md")


def test_what_is_published_and_made_current_is_noted_without_the_name_of_the_repository(store, project):
    plan = PushPlan("clinic/zaborowska", "model", (PlannedFile("README.md", b"card"),))
    note_published(store, plan, Pushed("https://huggingface.co/clinic/zaborowska", "c0ffee", True, True), project.id)
    adopt(store, project, AdapterRef(name="Zaborowska 1", path="/nowhere", hash="a" * 64, base_hash="b"), who="Ada")
    assert acts(store) == ["project created", "published", "adopted"]
    assert not store.connection.rows("SELECT 1 FROM audit_log WHERE facts LIKE '%aborowska%'")
    published = store.audit.entries(acts=["published"])[0]
    assert published.facts["commit"] == "c0ffee"


def test_acts_are_found_by_a_part_of_their_name():
    assert set(act_named("project")) >= {"project created", "project erased"}
    assert act_named("Merged") == ("merged",)
    for wrong in ("", "nonsense"):
        with pytest.raises(BadInput):
            act_named(wrong)
