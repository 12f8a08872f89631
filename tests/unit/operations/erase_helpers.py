"""A workspace whose files all hold certain words, what an erase must have made of it, and hands that stop it anywhere."""

import errno
import json
import os
import random
import shutil
import signal
import time
import zipfile
from collections.abc import Callable, Iterator

import pytest

from rlhf_desktop.core.files import sha256_file
from rlhf_desktop.core.paths import Workspace
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
from tests.trust.rows import DAMAGED, LEFT, LOST, WORDS
from tests.unit.operations.operations_helpers import BASE, QuietQueue, user

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


def with_words_everywhere(folder) -> tuple[Workspace, str]:
    """A workspace in which the words are wherever the program may have written them, and the judgement to erase."""
    workspace = Workspace(folder).ensure()
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


def left_of(workspace: Workspace) -> Iterator[tuple[str, str]]:
    """What an erase that was finished has left behind or harmed, by the table's names for it."""
    yield from ((WORDS, name) for name in anywhere(workspace.root))
    yield from ((LEFT, path.name) for path in workspace.backups.iterdir() if path.suffix != ".db")
    yield from ((LEFT, path.name) for path in workspace.runs.iterdir() if path.name.startswith("."))
    if workspace.erasing.exists():
        yield LEFT, workspace.erasing.name
    with Store.open(workspace.database) as store:
        kept = len(store.judgements.all(store.projects.by_name("Support").id))
        if kept != 1:
            yield LOST, f"{kept} judgements instead of 1"
        if store.connection.rows("PRAGMA integrity_check") != [{"integrity_check": "ok"}]:
            yield DAMAGED, "the database"


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


def killed(do: Callable[[], None], change: int, chance: random.Random) -> bool:
    """Do something in a process of its own, and kill it before this change, or at some moment of it. Whether it was still at it."""
    hear, say = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            Interruption(pytest.MonkeyPatch(), change, lambda *_: os.write(say, b"."))
            do()
        finally:
            os._exit(0)
    os.close(say)
    os.read(hear, 1)  # nothing, if it came to its end before
    os.close(hear)
    deadline = time.perf_counter() + chance.choice((0.0, 0.0005, 0.002)) * chance.random()
    while time.perf_counter() < deadline:
        pass  # some way into it
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])
