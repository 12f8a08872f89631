"""Run folders of an encrypted workspace: sealed while nobody works on them, plain while a training process does.

A training process has no key, so what it reads and writes lies plain while the run is queued or under way: its feedback, its
events, its log, its checkpoints. Whoever ends the run, or finds it ended, seals them: that needs no passphrase.

What stays plain for good: `status.json` and `control.jsonl` (when, where and how a run went), the checkpoints' sums, what a model
is loaded by (`adapter_config.json`, `reward.json`), and the weights.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from rlhf_desktop.core.encryption import root_of
from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.sealing import seal, unseal
from rlhf_desktop.jobs.runfolder import RunFolder

WEIGHTS = (".safetensors", ".gguf", ".bin", ".pt")
PLAIN_NAMES = ("status.json", "control.jsonl", "heartbeat", "manifest.json", "adapter_config.json", "reward.json")
_NOT_READ = ("notes.json", "feedback.json", "report.json", "README.md")  # by a training process
_LEFT = re.compile(r"^\..+\.\d+\.tmp$")  # by a process that was killed while it wrote


def seal_run(run: RunFolder) -> int:
    """Seal a run that has ended, where its workspace is encrypted. One under way stays as it is. Returns how many files it sealed.

    Raises:
        OSError: the disk. What is left is sealed the next time.
    """
    if root_of(run.path) is None or not run.path.is_dir():
        return 0
    with run.claim.held():
        try:
            ended = _ended(run)
        except AppError:
            ended = True  # damaged: nobody can work on it
        return sum(map(_seal, _files(run))) if ended else 0


def _ended(run: RunFolder) -> bool:
    """Whether a run has ended. That of killed processes is noted first: a supervisor could not read it later."""
    condition = run.state()
    if condition.ended and condition.status.state != condition.state:
        said = {"state": condition.state, "message": condition.message, "hint": condition.hint}
        run.write_status(condition.status.model_copy(update=said))
    return condition.ended


def seal_runs(runs: Iterable[RunFolder]) -> int:
    """`seal_run` of each; what fails with one does not keep the others."""
    sealed = 0
    for run in runs:
        with suppress(OSError, AppError):
            sealed += seal_run(run)
    return sealed


def unseal_run(run: RunFolder) -> None:
    """Write in plain what a training process will read. The caller holds `run.claim`.

    Raises:
        Locked: this process has not unlocked the workspace.
        BadInput: a file was changed, or cut off.
        OSError: the disk.
    """
    for path in _files(run):
        if path.name not in _NOT_READ:
            unseal(path)


def _files(run: RunFolder) -> Iterator[Path]:
    for folder, names, files in os.walk(run.path):
        here = Path(folder)
        names[:] = [name for name in names if not (here / name).is_symlink()]
        for path in (here / name for name in files):
            if _LEFT.match(path.name):
                path.unlink(missing_ok=True)
            elif (
                not path.name.startswith(".")
                and path.name not in PLAIN_NAMES
                and path.suffix not in WEIGHTS
                and not path.is_symlink()
            ):
                yield path


def _seal(path: Path) -> bool:
    try:
        return path.stat().st_size > 0 and seal(path)
    except FileNotFoundError:
        return False
