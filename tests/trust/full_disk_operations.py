"""What is done on a disk that fills up: each operation, what must be true where it failed, and what where it came to its end."""

import json
import multiprocessing
import os
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import pytest

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.runs import RunStatus
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.hub.library import Library
from rlhf_desktop.jobs.follow import tail_events
from rlhf_desktop.jobs.outcome import decide
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations import exporting
from rlhf_desktop.operations.bundles import export_bundle
from rlhf_desktop.operations.exporting import export_adapter
from rlhf_desktop.operations.feedback import export_feedback, import_feedback
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.operations.restoring import backups_of, find_backup, restore
from rlhf_desktop.store.backups import back_up, daily_path
from rlhf_desktop.training.checkpoint import newest
from rlhf_desktop.worker.export import main as export_worker
from rlhf_desktop.worker.train import main as train
from tests.training.folders import demonstrations, make_run
from tests.unit.operations.erase_helpers import erase_all, left_of, with_words_everywhere

MANY = 60  # judgements, rows
TEXT = "It was like this, and then it was not. " * 20


class Operation(ABC):
    """Something a user does with a workspace on a disk that fills up."""

    def __init__(self, level: int) -> None:
        self.level = level

    @classmethod
    @abstractmethod
    def prepare(cls, root: Path, model) -> None:
        """Make what is there before, once for all levels."""

    @abstractmethod
    def do(self, root: Path) -> None:
        """Do it, or raise."""

    def check_failed(self, root: Path) -> Iterator[str]:
        """What is half done after it failed, once there is room again."""
        yield from temporaries(root)

    @abstractmethod
    def check_done(self, root: Path) -> Iterator[str]:
        """What is not as it must be after it came to its end."""


def temporaries(root: Path) -> Iterator[str]:
    """What was begun and not tidied away."""
    for path in root.rglob("*"):
        if path.name.endswith((".tmp", ".exporting", ".erasing", ".part")):
            yield f"{path.name} was left"


def judged(store) -> int:
    return sum(len(store.judgements.all(project.id)) for project in store.projects.all())


def count(root: Path) -> int:
    """Judgements in a workspace that is sound."""
    with open_store(Workspace(root)) as store:
        assert store.connection.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        return judged(store)


def judge(store, project, n: int) -> Judgement:
    _, question = store.conversations.start(project.id, [{"role": "user", "content": f"Question {n}. {TEXT}"}])
    answers = store.conversations.add_answers(question.id, [f"Good {n}. {TEXT}", f"Bad {n}. {TEXT}"])
    return store.judgements.add(Judgement(project.id, "me", tuple(a.id for a in answers), Ranking((1, 2))))


def filled(root: Path, judgements: int) -> None:
    with open_store(Workspace(root).ensure()) as store:
        project = store.projects.ensure("Support")
        for n in range(judgements):
            judge(store, project, n)


class Import(Operation):
    """A file of rows, some of which cannot be used and are set aside."""

    @classmethod
    def prepare(cls, root, model):
        filled(root, 1)
        rows = [{"prompt": f"Why {n}? {TEXT}", "chosen": f"So {n}. {TEXT}", "rejected": f"No {n}. {TEXT}"} for n in range(MANY)]
        lines = [json.dumps(row) for row in rows] + ["{broken"] * 20
        (root / "rows.jsonl").write_text("\n".join(lines) + "\n")

    def do(self, root):
        with open_store(Workspace(root)) as store:
            import_feedback(store, store.projects.by_name("Support"), root / "rows.jsonl")

    def check_failed(self, root):
        yield from temporaries(root)
        if count(root) != 1:
            yield f"{count(root) - 1} of {MANY} rows are there"
        if (root / "rows.jsonl.rejected.jsonl").exists():
            yield "rows were set aside of an import that was not"

    def check_done(self, root):
        if count(root) != 1 + MANY:
            yield f"{count(root) - 1} of {MANY} rows are there"


class Judge(Operation):
    """Judgements one after the other: what was acknowledged is there."""

    @classmethod
    def prepare(cls, root, model):
        filled(root, 1)

    def do(self, root):
        with open_store(Workspace(root)) as store:
            project = store.projects.by_name("Support")
            self.acknowledged = judged(store)
            while self.acknowledged < MANY:
                judge(store, project, self.acknowledged)
                self.acknowledged += 1

    acknowledged = 1

    def check_failed(self, root):
        if count(root) != self.acknowledged:
            yield f"{count(root)} judgements of {self.acknowledged} acknowledged"

    def check_done(self, root):
        if count(root) != MANY:
            yield f"{count(root)} judgements of {MANY}"


class Erase(Operation):
    """An erase with words in every kind of file. It may stop half-way: the next start goes on, and then nothing is left."""

    chosen = ""

    @classmethod
    def prepare(cls, root, model):
        _, cls.chosen = with_words_everywhere(root)

    def do(self, root):
        erase_all(Workspace(root), self.chosen)
        if Workspace(root).erasing.exists():
            with open_store(Workspace(root)) as store:
                raise store_says(store.notice)

    def check_failed(self, root):
        return iter(())

    def check_done(self, root):
        yield from (f"{kind}: {detail}" for kind, detail in left_of(Workspace(root)))


def store_says(notice: str):
    from rlhf_desktop.core.errors import NoSpace

    return NoSpace(notice, "The next start goes on.") if "disk is full" in notice else AssertionError(f"not said: {notice}")


class Backup(Operation):
    """A backup beside one that is there."""

    @classmethod
    def prepare(cls, root, model):
        filled(root, MANY)
        with open_store(Workspace(root)) as store:
            back_up(store.connection, Workspace(root).backups / "by-hand-1.db")

    def do(self, root):
        with open_store(Workspace(root)) as store:
            back_up(store.connection, Workspace(root).backups / "by-hand-2.db")

    def check_failed(self, root):
        yield from temporaries(root)
        if (Workspace(root).backups / "by-hand-2.db").exists():
            yield "a backup that failed is there"
        yield from self._damaged(root)

    def check_done(self, root):
        if not (Workspace(root).backups / "by-hand-2.db").exists():
            yield "there is no backup"
        yield from self._damaged(root)

    def _damaged(self, root):
        yield from (f"{backup.path.name}: {backup.problem}" for backup in backups_of(Workspace(root)) if backup.problem)


class Restore(Operation):
    """A backup over a database that is well or, at every other level, damaged."""

    @classmethod
    def prepare(cls, root, model):
        filled(root, MANY // 2)
        daily_path(Workspace(root).backups).unlink(missing_ok=True)
        filled(root, MANY // 2)

    def do(self, root):
        database = Workspace(root).database
        if self.level % 2 and not self._harmed:
            raw = bytearray(database.read_bytes())
            raw[4096 * 3 : 4096 * 9] = b"\xff" * 4096 * 6
            with database.open("r+b") as file:  # in place: no page more is taken
                file.write(raw)
            self._harmed = True
        self._before = database.read_bytes()
        restore(Workspace(root), find_backup(Workspace(root)))

    _harmed = False

    def check_failed(self, root):
        yield from temporaries(root)
        if Workspace(root).database.read_bytes() != self._before:
            yield "the database is another"

    def check_done(self, root):
        if count(root) < MANY // 2:
            yield f"{count(root)} of {MANY // 2} judgements"


class Export(Operation):
    """A file of one of the formats over an older one of that name."""

    NAMES = ("all.jsonl", "all.csv", "all.json", "all.parquet", "all.zip")

    @classmethod
    def prepare(cls, root, model):
        filled(root, MANY)
        (root / "out").mkdir()
        for name in cls.NAMES:
            (root / "out" / name).write_text("older")

    def do(self, root):
        name = self.NAMES[self.level % len(self.NAMES)]
        with open_store(Workspace(root)) as store:
            project = store.projects.by_name("Support")
            (export_bundle if name == "all.zip" else export_feedback)(store, project, root / "out" / name)

    def check_failed(self, root):
        yield from temporaries(root)
        yield from (f"{path.name} was changed" for path in (root / "out").iterdir() if path.read_bytes() != b"older")
        with open_store(Workspace(root)) as store:
            if store.exports.since(store.projects.by_name("Support").id, 0):
                yield "a file that was not written is called exported"

    def check_done(self, root):
        name = self.NAMES[self.level % len(self.NAMES)]
        if (root / "out" / name).stat().st_size < 1000:
            yield f"{name} was not written"
        with open_store(Workspace(root)) as store:
            if [Path(each.path).name for each in store.exports.since(store.projects.by_name("Support").id, 0)] != [name]:
                yield "the file is not remembered as exported"


class Gguf(Operation):
    """A whole model as one file, or as a folder for transformers, by the worker; somebody takes the room once it has begun."""

    FORMS = ("gguf", "merged")
    base = None

    @classmethod
    def prepare(cls, root, model):
        cls.base = model
        Workspace(root).ensure()

    def do(self, root):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exporting, "free_disk_bytes", lambda _: 10**12)
            patch.setattr(exporting.subprocess, "run", _run_export)
            form = self.FORMS[self.level % 2]
            export_adapter(Library(Workspace(root)), self.base, None, form, root / "out")

    def check_failed(self, root):
        yield from temporaries(root)
        if (root / "out").exists():
            yield "a model that was not written is there"

    def check_done(self, root):
        sizes = {path.suffix: path.stat().st_size for path in (root / "out").iterdir()}
        if max(sizes.get(".gguf", 0), sizes.get(".safetensors", 0)) < 100_000:
            yield f"only {sizes}"


_SERVER = multiprocessing.get_context("forkserver")  # has loaded torch, and has one thread: a fork of this process might hang
_SERVER.set_forkserver_preload([__name__])


def get_ready() -> None:
    """Start what the worker's processes come from, whose own files must not lie on the disk that fills up."""
    forkserver.ensure_running()


def _as_worker(work, arguments, environment: dict[str, str], said: Path) -> None:
    """What the worker's process does; its exit code is the worker's, or 70 where something raw came out."""
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = environment["TMPDIR"]
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    code = 70
    try:
        with said.open("wb") as out:
            code = work(arguments, out) if work is export_worker else work(arguments)
    finally:
        os._exit(code)


def in_a_fork(work, arguments: list[str]) -> tuple[int, bytes]:
    """The worker's process, without the many seconds that torch takes to be loaded: its exit code, and what it said."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        said = Path(folder) / "said"
        child = _SERVER.Process(target=_as_worker, args=(work, arguments, dict(os.environ), said))
        child.start()
        child.join()
        code = child.exitcode
        child.close()
        return code, said.read_bytes() if said.exists() else b""


def _run_export(command, **_) -> subprocess.CompletedProcess:
    code, said = in_a_fork(export_worker, [command[-1]])
    return subprocess.CompletedProcess(command, code, said, b"")


class Checkpoint(Operation):
    """A run that writes a checkpoint after each update, and then its result; it is resumed."""

    @classmethod
    def prepare(cls, root, model):
        make_run(root / "runs" / "one", "sft", model, demonstrations(), epochs=6, watched_prompts=0)
        RunFolder(root / "runs" / "one").write_status(RunStatus(state="running", queued_at=1.0, message=""))

    def do(self, root):
        run = RunFolder(root / "runs" / "one")
        first_seq = run.next_seq()
        code, _ = in_a_fork(train, [str(run.path)])
        words = [event for event in tail_events(run.events) if event.seq >= first_seq]
        outcome = decide(code, None, words)
        if outcome.state == "failed":
            raise AppError(outcome.message, outcome.hint)
        assert outcome.state == "done", outcome

    def check_failed(self, root):
        run = RunFolder(root / "runs" / "one")
        yield from temporaries(root)
        _, damaged = newest(run.checkpoints)
        yield from (f"{name} is damaged" for name in damaged)
        if run.adapter.exists():
            yield "there is a result"
        lines = run.events.read_bytes() if run.events.exists() else b""
        for line in lines.split(b"\n")[:-1]:
            json.loads(line)

    def check_done(self, root):
        run = RunFolder(root / "runs" / "one")
        if not (run.adapter / "adapter_model.safetensors").is_file():
            yield "there is no result"


def copy_of(template: Path, root: Path) -> Path:
    shutil.rmtree(root, ignore_errors=True)
    return Path(shutil.copytree(template, root))


OPERATIONS = {
    "import": Import,
    "judge": Judge,
    "erase": Erase,
    "backup": Backup,
    "restore": Restore,
    "export": Export,
    "gguf": Gguf,
    "checkpoint": Checkpoint,
}
