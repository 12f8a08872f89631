"""An erase that is cut short anywhere is finished later, and then no byte of the words is left in the workspace."""

import errno
import json
import os
import shutil
import signal
import zipfile
from contextlib import closing

import pytest
from operations_helpers import BASE, QuietQueue, user

from rlhf_desktop.core.errors import NoSpace, StoreTrouble
from rlhf_desktop.core.files import sha256_file
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import FileLock
from rlhf_desktop.feedback.conversations import Generator
from rlhf_desktop.feedback.formats.parquet import read_parquet
from rlhf_desktop.feedback.judgements import Correction, Judgement, Ranking, Skip, revision
from rlhf_desktop.operations.bundles import export_bundle
from rlhf_desktop.operations.erase import erase
from rlhf_desktop.operations.feedback import export_feedback
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.operations.report_pages import Answers, Report, Section, Table, write_report
from rlhf_desktop.operations.training import start_run
from rlhf_desktop.operations.unfinished import note_unfinished
from rlhf_desktop.store import driver
from rlhf_desktop.store.backups import back_up
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.driver import Connection
from rlhf_desktop.store.erasing import MESSAGE_THAT_WAITS

WORD = b"zaborowska"
SECRET = 'Mrs Zaborowska\'s "biopsy"\n\n* of *Tuesday*, <b>urgent</b> | see [1]'
ANSWER = "Zaborowska should\nworry, as_said #1! \\ é"
BETTER = "Zaborowska | can be told, `softly`"
GONE_PID = 2**22 + 12345  # beyond what a system gives out


def dead_temporary(path):
    return path.with_name(f".{path.name}.{GONE_PID}.tmp")


def judged(store, project) -> Judgement:
    made = []
    for text, answers in ((SECRET, [ANSWER, "Call the ward, Zaborowska"]), ("Opening hours?", ["Nine to five", "Ask at the desk"])):
        _, question = store.conversations.start(project.id, user(text))
        told = [NewCompletion(answer, thought=f"Hm, {answer} of Zaborowska" if "Zab" in answer else "") for answer in answers]
        nodes = store.conversations.add_completions(question.id, told, Generator("m", "h"))
        made.append(store.judgements.add(Judgement(project.id, "me", tuple(node.id for node in nodes), Ranking((2, 1)))))
    said = [Ranking((2, 1)), Correction(BETTER)]
    revised = store.judgements.add(revision(made[0], "me", said, critique="Never say Zaborowska again"))
    store.judgements.add(Judgement(project.id, "Bo", made[0].displayed, Skip("I know Zaborowska well")))
    return revised


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A kill loses nothing that was written: only a power cut would need it to be forced to the disk."""
    monkeypatch.setattr(driver, "SYNCHRONOUS", "OFF")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A workspace in which the words are wherever the program may have written them, and the judgement to erase."""
    workspace = Workspace(tmp_path_factory.mktemp("erase") / "template").ensure()
    root = workspace.root
    with Store.open(workspace.database) as store:
        project = store.projects.create("Support")
        chosen = judged(store, project)
        store.prompts.create_set(project.id, "set", [user(SECRET), user("Opening hours?")])
        store.drafts.save(project.id, "me", f"label:{chosen.displayed[0]}", {"text": "a draft on Zaborowska"})
        store.drafts.save(project.id, "me", "label:elsewhere", {"text": ANSWER})
        store.settings.set(MESSAGE_THAT_WAITS, f"Once more: {SECRET}", project.id)
        note_unfinished(store, project.id, chosen.displayed[0], Generator("m", "h"), 1, [("Zaborowska will", "")])
        run = start_run(store, QuietQueue(workspace), project, "reward", base=BASE, title="Taught")
        for name in ("all.jsonl", "all.json", "all.csv", "all.parquet"):
            export_feedback(store, project, root / name)
        export_bundle(store, project, root / "all.zip")
        back_up(store.connection, workspace.backups / "feedback-2026-01-01.db")
    run.write_status(run.status().model_copy(update={"state": "done"}))
    events = [
        {"type": "sample", "prompt": SECRET, "text": "What Zaborowska never said", "before": ANSWER},
        {"type": "sample", "prompt": "Opening hours?", "text": "Nine", "before": "Ten"},
    ]
    run.events.write_text("".join(json.dumps(row) + "\n" for row in events) + json.dumps(events[0])[:-9])  # the last one torn
    step = run.checkpoints / "step-00000001"
    step.mkdir()
    (step / "state.json").write_text(json.dumps({"step": 1, "watched": [{"prompt": user(SECRET), "text": ANSWER}]}))
    (step / "manifest.json").write_text(json.dumps({"v": 1, "files": {"state.json": sha256_file(step / "state.json")}}))
    blocks = (Answers(SECRET, (("before", ANSWER), ("after", BETTER)), "kept"), Table(("a",), ((SECRET,), (BETTER,), ("kept",))))
    write_report(Report("one", "Kept", "", (Section("Answers", blocks),)), root / "reports")
    killed_run = workspace.runs / f".0190.{GONE_PID}.tmp"
    shutil.copytree(run.path, killed_run)
    shutil.copytree(run.path, workspace.runs / ".0190.removed")
    for copy in (dead_temporary(workspace.backups / "feedback-2026-01-02.db"), workspace.backups / "feedback-2026-01-03.erasing"):
        shutil.copy(workspace.backups / "feedback-2026-01-01.db", copy)
    (root / "f.csv.rejected.jsonl").write_text(json.dumps({"line": 1, "text": json.dumps({"prompt": SECRET})}) + "\n")
    dead_temporary(root / "reports" / "two.html").write_text(ANSWER)
    assert len(anywhere(root)) >= 17
    return workspace, chosen.id


def anywhere(folder) -> list[str]:
    """Files in which the word stands, as bytes or packed."""
    found = []
    for path in (path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if path.suffix == ".parquet":
            data += str(list(read_parquet(path))).encode()
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                data += b"".join(archive.read(name) for name in archive.namelist())
        if WORD in data.lower():
            found.append(str(path.relative_to(folder)))
    return found


def fresh(template, tmp_path) -> tuple[Workspace, str]:
    workspace = Workspace(tmp_path / "workspace")
    shutil.rmtree(workspace.root, ignore_errors=True)
    shutil.copytree(template[0].root, workspace.root)
    return workspace, template[1]


def erase_all(workspace: Workspace, chosen: str) -> None:
    """What a user does: open the workspace, and erase if that judgement is still listed."""
    with open_store(workspace) as store:
        if store.judgements.by_ids([chosen]):
            erase(store, workspace, store.projects.by_name("Support"), [chosen], confirmed=True)


def check_clean(workspace: Workspace) -> None:
    assert anywhere(workspace.root) == []
    assert not workspace.erasing.exists()
    assert [path for path in workspace.backups.iterdir() if path.suffix != ".db"] == []
    (run,) = [path for path in workspace.runs.iterdir() if not path.name.startswith(".")]
    assert json.loads((run / "run.json").read_text())["data_sha256"] == sha256_file(run / "data.jsonl")
    assert "Opening hours?" in (run / "data.jsonl").read_text()
    manifest = json.loads((run / "checkpoints" / "step-00000001" / "manifest.json").read_text())
    assert manifest["files"]["state.json"] == sha256_file(run / "checkpoints" / "step-00000001" / "state.json")
    assert '"text": "Nine"' in (run / "events.jsonl").read_text()
    assert "kept" in (workspace.root / "reports" / "one.md").read_text()
    for name in ("all.jsonl", "all.csv"):
        assert "Nine to five" in (workspace.root / name).read_text()
    with Store.open(workspace.database) as store:
        assert len(store.judgements.all(store.projects.by_name("Support").id)) == 1
        assert store.connection.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


class Interruption:
    """Counts the changes of the disk and of the database, and does something instead of the one of this number."""

    def __init__(self, patch, number: int, do) -> None:
        self.count, self._number, self._do = 0, number, do
        for module, name in ((os, "replace"), (os, "unlink"), (os, "fsync"), (shutil, "copyfile"), (Connection, "_between")):
            patch.setattr(module, name, self._watched(getattr(module, name)))

    def _watched(self, real):
        def watched(*args, **kwargs):
            self.count += not (isinstance(args[0], Connection) and args[2] == "BEGIN")  # reading changes nothing
            if self.count == self._number:
                self._number = -1
                self._do(*args)
            return real(*args, **kwargs)

        return watched


class Stop(BaseException):
    """As the end of the program; unlike a kill it runs what tidies up."""


def stop(*_):
    raise Stop


def disk_full(*what):
    """As the system says it, or the database."""
    if isinstance(what[0], Connection):
        raise driver.DRIVER.OperationalError("database or disk is full")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def steps(template, tmp_path) -> int:
    """How many changes an erase makes."""
    workspace, chosen = fresh(template, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        counted = Interruption(patch, -1, stop)
        erase_all(workspace, chosen)
    check_clean(workspace)
    return counted.count


def test_nothing_is_left_of_the_words_anywhere(template, tmp_path):
    assert steps(template, tmp_path) > 50


@pytest.mark.parametrize("points", [16, pytest.param(1000, marks=pytest.mark.slow)])
def test_an_erase_that_stops_before_any_of_its_changes_is_finished_at_the_next_start(template, tmp_path, points):
    total = steps(template, tmp_path)
    for number in range(1, total + 1, max(1, total // points)):
        workspace, chosen = fresh(template, tmp_path)
        with pytest.MonkeyPatch.context() as patch:
            Interruption(patch, number, stop)
            with pytest.raises(Stop):
                erase_all(workspace, chosen)
        erase_all(workspace, chosen)
        check_clean(workspace)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("points", [16, pytest.param(1000, marks=pytest.mark.slow)])
def test_an_erase_that_is_killed_is_finished_at_the_next_start(template, tmp_path, points):
    total = steps(template, tmp_path)
    for number in range(1, total + 1, max(1, total // points)):
        workspace, chosen = fresh(template, tmp_path)
        child = os.fork()
        if child == 0:
            try:
                Interruption(pytest.MonkeyPatch(), number, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
                erase_all(workspace, chosen)
            finally:
                os._exit(1)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), f"it came to its end before change {number}"
        erase_all(workspace, chosen)
        check_clean(workspace)


@pytest.mark.parametrize("points", [16, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_full_disk_is_said_in_one_sentence_and_the_erase_goes_on_when_there_is_room(template, tmp_path, points):
    total, said = steps(template, tmp_path), set()
    for number in sorted({2, *range(1, total + 1, max(1, total // points))}):
        workspace, chosen = fresh(template, tmp_path)
        with open_store(workspace) as store, pytest.MonkeyPatch.context() as patch:
            Interruption(patch, number, disk_full)
            try:
                erase(store, workspace, store.projects.by_name("Support"), [chosen], confirmed=True)
            except NoSpace as trouble:
                said.add(trouble.message)
        erase_all(workspace, chosen)
        check_clean(workspace)
    assert said == {"The disk is full, so nothing was erased.", "The disk is full, so not all copies are erased yet."}


def test_erasing_again_goes_on_where_the_disk_was_full(template, tmp_path):
    workspace, chosen = fresh(template, tmp_path)
    with open_store(workspace) as store:
        project = store.projects.by_name("Support")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shutil, "copyfile", disk_full)
            with pytest.raises(NoSpace, match="not all copies are erased yet"):
                erase(store, workspace, project, [chosen], confirmed=True)
        done = erase(store, workspace, project, [chosen], confirmed=True)
        assert chosen in done.plan.judgements
    check_clean(workspace)


def test_the_start_says_that_it_has_finished_or_cannot_yet(template, tmp_path):
    workspace, chosen = fresh(template, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "copyfile", stop)
        with pytest.raises(Stop):
            erase_all(workspace, chosen)
        patch.setattr(shutil, "copyfile", disk_full)
        with open_store(workspace) as store:
            assert "not finished yet. The disk is full" in store.notice
    said = []
    with open_store(workspace, said.append) as store:
        assert said == ["An erase that was cut short has been finished."]
        assert store.notice == ""
    check_clean(workspace)


def test_two_erases_do_not_run_at_once(template, tmp_path):
    workspace, chosen = fresh(template, tmp_path)
    other = FileLock(workspace.root / ".erasing.lock")
    assert other.acquire()
    with open_store(workspace) as store, pytest.raises(StoreTrouble, match="Another window or command is erasing"):
        erase(store, workspace, store.projects.by_name("Support"), [chosen], confirmed=True)
    other.release()
    erase_all(workspace, chosen)
    check_clean(workspace)


def test_what_killed_backups_left_goes_at_the_next_start_and_what_is_being_written_stays(template, tmp_path):
    workspace, _ = fresh(template, tmp_path)
    living = workspace.backups / f".feedback-2026-01-04.db.{os.getpid()}.tmp"
    living.write_bytes(b"in work")
    open_store(workspace).close()
    assert {path.name for path in workspace.backups.iterdir() if path.suffix != ".db"} == {living.name}
    assert not any(path.name.startswith(".0190") for path in workspace.runs.iterdir())


def the_run(workspace):
    return next(path for path in workspace.runs.iterdir() if not path.name.startswith("."))


def test_a_row_that_quotes_the_words_goes_from_a_runs_data_and_the_run_can_still_be_resumed(template, tmp_path):
    workspace, chosen = fresh(template, tmp_path)
    run = the_run(workspace)
    quoting = {"kind": "demonstration", "prompt": user("Sum up"), "completion": f"She wrote: {SECRET}", "split": "train"}
    with (run / "data.jsonl").open("a") as data:
        data.write(json.dumps(quoting) + "\n")
    erase_all(workspace, chosen)
    check_clean(workspace)
    assert "Sum up" not in (run / "data.jsonl").read_text()


@pytest.mark.parametrize("name", ["run.json", "data.jsonl", "status.json"])
def test_a_damaged_run_keeps_nothing_from_being_erased(template, tmp_path, name):
    workspace, chosen = fresh(template, tmp_path)
    file = the_run(workspace) / name
    file.write_bytes(b'{"torn' + file.read_bytes()[:-20])
    erase_all(workspace, chosen)
    assert anywhere(workspace.root) == []


def test_a_damaged_backup_goes_as_a_whole_and_other_programs_databases_stay(template, tmp_path):
    workspace, chosen = fresh(template, tmp_path)
    backup, other = workspace.backups / "feedback-2026-01-01.db", workspace.root / "others.db"
    content = backup.read_bytes()
    backup.write_bytes(content[: len(content) // 2])
    with closing(Connection(other)) as connection:
        connection.execute("CREATE TABLE mine (id INTEGER)")
    before = other.read_bytes()
    erase_all(workspace, chosen)
    check_clean(workspace)
    assert not backup.exists()
    assert other.read_bytes() == before
