"""The adapters of a workspace: the results of its runs, found by name, and any other adapter folder."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from rlhf_desktop.core.errors import AppError, BadInput, ModelTrouble, NotFound
from rlhf_desktop.core.files import discard, sha256_file
from rlhf_desktop.core.imported import imported_adapters
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.recipes import Quantization
from rlhf_desktop.core.rewardfiles import REWARD, check_reward
from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.jobs.queue import run_folders
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.jobs.runnotes import title_of

IMPORTED = "imported:"
AdapterKind = Literal["policy", "reward"]
_CONFIG = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"
_WORDS = {"policy": "a tuned model", "reward": "a reward model"}


@dataclass(frozen=True)
class AdapterInfo:
    """An adapter, as a list of models shows it: the result of a run, or one that came from elsewhere."""

    run_id: str  # starts with `IMPORTED` for the latter
    title: str
    kind: AdapterKind
    algorithm: str
    created: str
    project_id: str
    base_name: str
    ref: AdapterRef


def list_adapters(workspace: Workspace, kind: AdapterKind | None = None) -> list[AdapterInfo]:
    """The results of the workspace's runs, newest first, then adapters that came from elsewhere."""
    found = []
    for run in reversed(run_folders(workspace)):
        if (run.adapter / _CONFIG).is_file() and (info := _info(run)) and kind in (None, info.kind):
            found.append(info)
    return found + [info for info in _imported(workspace) if kind in (None, info.kind)]


def _imported(workspace: Workspace) -> list[AdapterInfo]:
    """Adapters that came from elsewhere; they belong to no run and no project."""
    found = []
    for folder, origin in imported_adapters(workspace):
        if (folder / _WEIGHTS).is_file():
            ref = AdapterRef(name=origin.name, path=str(folder), hash=weights_hash(folder), base_hash=origin.base_hash)
            made = (origin.algorithm, origin.created, "", origin.base_name)
            found.append(AdapterInfo(f"{IMPORTED}{folder.name}", origin.name, origin.kind, *made, ref))
    return found


def remove_imported(workspace: Workspace, name: str) -> bool:
    """Delete an adapter that came from elsewhere. Whether there was one of this name."""
    for folder, origin in imported_adapters(workspace):
        if origin.name == name:
            discard(folder, name)
            return True
    return False


def resolve_adapter(workspace: Workspace, text: str | None, kind: AdapterKind | None = None) -> AdapterRef | None:
    """The adapter called so; None for None, "" or "base", which all mean the base model itself.

    Args:
        workspace: Whose runs to look through.
        text: A run's id, the unique start of one, a run's title (the newest of that title), a run folder or an adapter folder.
        kind: What it has to be.

    Raises:
        NotFound: nothing is called so; the hint names what there is.
        BadInput: several are, or it is of the other kind.
        ModelTrouble: its folder is damaged.
    """
    if text is None or text in ("", "base"):
        return None
    folder = Path(text).expanduser()
    if folder.is_dir():
        ref, found_kind = _from_folder(folder)
    else:
        info = _by_name(list_adapters(workspace), text)
        ref, found_kind = info.ref, info.kind
    if kind not in (None, found_kind):
        needed = _WORDS[kind or found_kind]
        hint = _there_are(list_adapters(workspace, kind))
        raise BadInput(f"“{text}” is {_WORDS[found_kind]}, but {needed} is needed here.", hint)
    return ref


def _by_name(infos: list[AdapterInfo], text: str) -> AdapterInfo:
    exact = [info for info in infos if text in (info.run_id, info.title)][:1]
    matches = exact or [info for info in infos if info.run_id.startswith(text)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise BadInput(f"Several adapters start with “{text}”.", f"Give more of the name: {_list(matches)}.")
    raise NotFound(f"There is no adapter called “{text}”.", _there_are(infos))


def _there_are(infos: list[AdapterInfo]) -> str:
    return f"There are: {_list(infos)}." if infos else "There are none yet: training makes them."


def _list(infos: list[AdapterInfo], most: int = 8) -> str:
    more = f" and {len(infos) - most} more" if len(infos) > most else ""
    return ", ".join(f"{info.title} ({info.run_id})" for info in infos[:most]) + more


def _info(run: RunFolder) -> AdapterInfo | None:
    try:
        config = run.config()
        title = title_of(run, config.title)
        held: Quantization = "4bit" if config.settings.get("quantization") == "4bit" else "none"
        where, digest = str(run.adapter), weights_hash(run.adapter)
        ref = AdapterRef(name=title, path=where, hash=digest, base_hash=config.base.hash, quantization=held)
    except AppError:
        return None  # a damaged run is named in the list of runs; it has no result to offer
    kind: AdapterKind = "reward" if config.algorithm == "reward" else "policy"
    return AdapterInfo(run.id, title, kind, config.algorithm, config.created, config.project_id, config.base.name, ref)


def _from_folder(folder: Path) -> tuple[AdapterRef, AdapterKind]:
    """An adapter that is named by its folder, or by that of its run. `base_hash` is "" where nothing says which base it fits."""
    if (folder / "run.json").is_file():
        folder = folder / "adapter"
    run = RunFolder(folder.resolve().parent)
    if folder.name == "adapter" and run.config_file.is_file() and (info := _info(run)):
        return info.ref, info.kind
    if imported := next(
        (info for info in _imported(Workspace(folder.resolve().parent.parent)) if info.ref.path == str(folder.resolve())), None
    ):
        return imported.ref, imported.kind
    config = _peft_config(folder)
    kind: AdapterKind = "reward" if config.get("task_type") == "SEQ_CLS" else "policy"
    if (folder / REWARD).is_file():
        check_reward(folder)
    return AdapterRef(name=folder.resolve().name, path=str(folder.resolve()), hash=weights_hash(folder), base_hash=""), kind


def _peft_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / _CONFIG).read_bytes())
    except FileNotFoundError:
        hint = f"Choose a folder that a run or PEFT has saved: it has {_CONFIG} in it."
        raise NotFound(f"There is no adapter in {folder}.", hint) from None
    except ValueError as problem:
        hint = "Copy the folder again, or train again: the feedback is safe."
        raise ModelTrouble(f"The adapter in {folder} is damaged.", hint, str(problem)) from None
    return config if isinstance(config, dict) else {}


def weights_hash(folder: Path) -> str:
    """SHA-256 of an adapter's weights; computed once for each version of the file.

    Raises:
        ModelTrouble: there are no weights in the folder.
    """
    file = folder / _WEIGHTS
    try:
        stat = file.stat()
    except FileNotFoundError:
        hint = "Copy the folder again, or train again: the feedback is safe."
        raise ModelTrouble(f"The adapter in {folder} has no weights ({_WEIGHTS} is missing).", hint) from None
    return _hash(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1024)
def _hash(file: Path, mtime_ns: int, size: int) -> str:  # noqa: ARG001 (they make another version of the file another key)
    return sha256_file(file)
