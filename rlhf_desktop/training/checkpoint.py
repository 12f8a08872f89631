"""Checkpoints that are whole or not there, and are verified before they are trusted.

Written to a temporary name with a manifest of SHA-256s, fsynced, renamed. Tensors are safetensors, the rest is JSON: no pickle.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from rlhf_desktop.core.errors import NoSpace
from rlhf_desktop.core.files import fsync_dir, fsync_file, is_disk_full, sha256_file, write_json
from rlhf_desktop.core.platform import remove_tree, rename
from rlhf_desktop.core.runs import DISK_FULL

KEEP = 2
TENSORS, EXTRAS, MANIFEST = "state.safetensors", "state.json", "manifest.json"


@dataclass(frozen=True)
class Checkpoint:
    """A run's state after `step` updates."""

    step: int
    tensors: dict[str, Tensor]
    extras: dict[str, Any]


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint and drop all but the newest two.

    Raises:
        NoSpace: the disk is full; earlier checkpoints are untouched.
    """
    final = folder / f"step-{checkpoint.step:08d}"
    temporary = folder / f".{final.name}.tmp"
    try:
        remove_tree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        save_file({name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}, temporary / TENSORS)
        write_json(temporary / EXTRAS, {"step": checkpoint.step, **checkpoint.extras})
        fsync_file(temporary / TENSORS)
        files = {name: sha256_file(temporary / name) for name in (TENSORS, EXTRAS)}
        write_json(temporary / MANIFEST, {"v": 1, "files": files})
        remove_tree(final, ignore_errors=True)
        rename(temporary, final)
        fsync_dir(folder)
    except Exception as problem:
        remove_tree(temporary, ignore_errors=True)
        if not is_disk_full(problem):
            raise
        raise NoSpace(*DISK_FULL, str(problem)) from None
    for old in (*_steps(folder)[KEEP:], *folder.glob(".step-*.tmp")):  # the latter by a process that was killed while it wrote
        remove_tree(old, ignore_errors=True)  # what cannot be deleted yet is at the next checkpoint
    return final


def newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint whose files match its manifest, and the names of newer ones that did not."""
    damaged: list[str] = []
    for path in _steps(folder):
        if _whole(path):
            extras = json.loads((path / EXTRAS).read_text("utf-8"))
            return Checkpoint(extras.pop("step"), _read(path / TENSORS), extras), damaged
        damaged.append(path.name)
    return None, damaged


def _read(file: Path) -> dict[str, Tensor]:
    """The tensors in memory of their own: those mapped from the file would keep Windows from pruning it."""
    return {name: tensor.clone() for name, tensor in load_file(file).items()}


def _steps(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)


def _whole(path: Path) -> bool:
    try:
        files = json.loads((path / MANIFEST).read_text("utf-8"))["files"]
        return set(files) == {TENSORS, EXTRAS} and all(sha256_file(path / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False
