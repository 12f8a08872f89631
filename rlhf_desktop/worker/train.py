"""`python -m rlhf_desktop.worker train RUN_FOLDER`: one run, from its frozen folder to its adapter.

Exit codes: 0 the run ended by itself (a `finished` event says how), 1 an expected trouble (an `error` event says which);
28 a full disk that has no room for such an event; anything else is a crash, and the run can be resumed.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from rlhf_desktop.core.crash import bug_report
from rlhf_desktop.core.errors import AppError, NoSpace
from rlhf_desktop.core.files import is_disk_full
from rlhf_desktop.core.recipes import Algorithm
from rlhf_desktop.core.runs import DISK_FULL, DISK_FULL_EXIT
from rlhf_desktop.inference.device import free_cache, is_dead, is_out_of_memory
from rlhf_desktop.training.cohort import refuse_untested
from rlhf_desktop.training.dpo import DpoTrainer
from rlhf_desktop.training.kto import KtoTrainer
from rlhf_desktop.training.ppo import PpoTrainer
from rlhf_desktop.training.reward import RewardTrainer
from rlhf_desktop.training.run import RunFiles, Trainer, run_loop
from rlhf_desktop.training.scaling import FormatOverflow
from rlhf_desktop.training.sft import SftTrainer

TRAINERS: dict[Algorithm, type] = {
    "sft": SftTrainer,
    "reward": RewardTrainer,
    "ppo": PpoTrainer,
    "dpo": DpoTrainer,
    "kto": KtoTrainer,
}


def main(argv: Sequence[str]) -> int:
    """Run the folder named by the one argument. Returns the exit code."""
    run = RunFiles(Path(argv[0]).resolve())
    try:
        train(run)
    except AppError as trouble:
        return _report(run, trouble)
    except Exception as problem:
        if not (known := _known(problem)):
            raise
        return _report(run, known)
    return 0


def train(run: RunFiles) -> None:
    """Load, train, and write the result; raises `AppError` for what the user can mend."""
    refuse_untested()
    try:
        _train(run)
    except FormatOverflow:
        run.widen()
    else:
        return
    free_cache()
    _train(run)


def _train(run: RunFiles) -> None:
    torch.manual_seed(run.settings.seed)
    trainer: Trainer = TRAINERS[run.config.algorithm](run)
    base = trainer.host.base
    run_loop(run, trainer, str(base.device), str(base.dtype).removeprefix("torch."))


def _known(problem: Exception) -> AppError | None:
    """What the disk, the card or the memory has done to us, if it is that."""
    if is_disk_full(problem):
        return NoSpace(*DISK_FULL, str(problem))
    if is_dead(problem):
        return AppError("The graphics card has failed.", "Press Resume: the last checkpoint is safe.", str(problem))
    if is_out_of_memory(problem):
        return NoSpace("The run does not fit in memory.", "Close other programs, or lower max_length.", str(problem))
    return None


def _report(run: RunFiles, trouble: AppError) -> int:
    """Say a trouble where there may be no room left to say it; then the exit code has to."""
    try:
        run.emit("error", message=trouble.message, hint=trouble.hint, detail=trouble.detail)
    except OSError as problem:
        if is_disk_full(problem):
            return DISK_FULL_EXIT
        print(bug_report(problem), file=sys.stderr)
    return 1
