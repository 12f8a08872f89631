"""Getting a base model or an adapter from the Hub: check what was found (`remote`), fetch its files (`fetching`), take it in.

Only what is needed is fetched, and only what may be loaded: JSON, tokenizer files, texts and safetensors (or one GGUF file). The
configuration comes first and is checked before the weights. Parts of files are kept when the connection breaks, so a second try
goes on where the first ended, across restarts of the program.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from rlhf_desktop.core.adapterfiles import ADAPTER_CONFIG, adapter_fits, check_adapter
from rlhf_desktop.core.errors import BadInput, ModelTrouble, NoSpace
from rlhf_desktop.core.families import is_native
from rlhf_desktop.core.files import fsync_dir, write_json
from rlhf_desktop.core.imported import ImportedAdapter, origin_file
from rlhf_desktop.core.modelfiles import check_model, read_config, read_model_config
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import FileLock, free_disk_bytes, remove_tree, rename
from rlhf_desktop.core.rewardfiles import MEMBER_FILES, REWARD, check_reward
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.hub.client import Hub
from rlhf_desktop.hub.fetching import Fetch, OnTransfer, Stop
from rlhf_desktop.hub.library import Library, LibraryModel, clean_name
from rlhf_desktop.hub.remote import RemoteFile, RemoteModel, choose_gguf

MODEL_FILES = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json",
    "merges.txt", "added_tokens.json", "tokenizer.model", "chat_template.jinja", "chat_template.json",
    "model.safetensors.index.json", "README.md", "LICENSE*", "NOTICE*", "model*.safetensors",
)  # fmt: skip
ADAPTER_FILES = (
    *MEMBER_FILES,
    *(f"members/*/{name}" for name in MEMBER_FILES),
    REWARD,
    "README.md",
    "LICENSE*",
    "rlhf_desktop.json",
)
AdapterKind = Literal["policy", "reward"]


class Puller:
    """Fetches into one workspace."""

    def __init__(self, hub: Hub, workspace: Workspace, library: Library) -> None:
        self._hub, self._workspace, self._library = hub, workspace, library

    def model(
        self,
        remote: RemoteModel,
        *,
        name: str | None = None,
        file: str | None = None,
        on_transfer: OnTransfer | None = None,
        on_note: Callable[[str], None] | None = None,
        stop: Stop | None = None,
    ) -> ModelRef:
        """Fetch a base model into the library.

        Raises:
            ModelTrouble: it cannot be loaded safely, or is not what the Hub describes.
            HubTrouble: the Hub or the connection failed; trying again goes on where this ended.
            NoSpace: the disk is too small for it.
        """
        called = clean_name(name or remote.repo.split("/")[-1])
        self._library.check_free(called)
        note = on_note or (lambda _: None)
        if remote.kind == "gguf":
            wanted = choose_gguf(remote, file)
            folder = self._fetch(remote, [wanted], 5 * wanted.size, on_transfer, stop)
            note(f"Converting {wanted.path}")
            ref = self._library.add(folder / wanted.path, called, note, origin=remote.source, licence=remote.licence)
            remove_tree(folder)
            return ref
        files = _pick(remote.files, MODEL_FILES)
        folder = self._fetch(remote, files, sum(entry.size for entry in files), on_transfer, stop, first=_check_first)
        note("Checking the files")
        try:
            check_model(folder)
        except ModelTrouble:
            remove_tree(folder)  # it is as the Hub has it: nothing to go on with
            raise
        return self._library.adopt(folder, called, source=remote.source, licence=remote.licence)

    def adapter(
        self,
        remote: RemoteModel,
        bases: Sequence[LibraryModel],
        *,
        name: str | None = None,
        on_transfer: OnTransfer | None = None,
        stop: Stop | None = None,
    ) -> ImportedAdapter:
        """Fetch an adapter for one of these base models, the likeliest first.

        Raises:
            ModelTrouble: it may not be loaded, or fits none of them.
            HubTrouble, NoSpace: as for a model.
        """
        called = clean_name(name or remote.repo.split("/")[-1])
        target = self._workspace.adapters / called
        if target.exists():
            raise BadInput(f"There is another adapter called “{called}”.", "Give this one a name of its own: --name NAME")
        files = _pick(remote.files, ADAPTER_FILES)
        folder = self._fetch(remote, files, sum(entry.size for entry in files), on_transfer, stop, first=read_config)
        try:
            config = check_adapter(folder)
            if (folder / REWARD).is_file():
                check_reward(folder)
            base = self._base_of(folder, bases)
        except ModelTrouble:
            remove_tree(folder)  # nothing to go on with
            raise
        facts = _own_facts(folder)
        kind: AdapterKind = "reward" if config.get("task_type") == "SEQ_CLS" else "policy"
        origin = ImportedAdapter.new(called, kind, facts.get("algorithm", ""), base.name, base.hash, remote.source, remote.licence)
        write_json(origin_file(folder), origin.model_dump(mode="json"))
        target.parent.mkdir(parents=True, exist_ok=True)
        rename(folder, target)
        fsync_dir(target.parent)
        return origin

    def _base_of(self, folder: Path, bases: Sequence[LibraryModel]) -> LibraryModel:
        """The base it says it was made for, else the first whose layers it fits."""
        said = _own_facts(folder).get("base_hash")
        for base in bases:
            if said == base.hash:
                return base
        if said:
            told = _own_facts(folder).get("base_name", "another model")
            hint = f"Add “{told}” first (the same file it was made with), then pull the adapter again."
            raise ModelTrouble(f"This adapter was made for “{told}”, which is not in this workspace.", hint)
        for base in bases:
            if adapter_fits(folder, self._library.folder(base)):
                return base
        hint = "Add the base model that its page names, then pull the adapter again."
        raise ModelTrouble("This adapter fits none of the base models here.", hint)

    def _fetch(
        self,
        remote: RemoteModel,
        files: Sequence[RemoteFile],
        needed_bytes: int,
        on_transfer: OnTransfer | None,
        stop: Stop | None,
        first: Callable[[Path], Any] | None = None,
    ) -> Path:
        """All files into a hidden folder of this revision, small ones first. One at a time a workspace."""
        folder = self._workspace.models / f".pull-{remote.repo.replace('/', '--')}-{remote.revision[:12]}"
        folder.mkdir(parents=True, exist_ok=True)
        there = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        if free_disk_bytes(folder) < needed_bytes - there + 10**8:
            hint = "Free some space, then try again."
            raise NoSpace(f"This needs about {(needed_bytes - there) / 1e9:.1f} GB on this disk.", hint)
        with FileLock(folder / ".lock").held():
            done = 0
            order = ("config.json", ADAPTER_CONFIG)
            for entry in sorted(files, key=lambda entry: (entry.path not in order, not _is_config(entry.path), entry.size)):
                fetch = Fetch(self._hub, remote, entry, folder / entry.path, done, sum(f.size for f in files), on_transfer, stop)
                fetch.run()
                done += entry.size
                if first and _is_config(entry.path):
                    first(folder / entry.path)
        (folder / ".lock").unlink()
        return folder


def _is_config(path: str) -> bool:
    return path.endswith("config.json")


def _check_first(file: Path) -> None:
    """What can be told before the weights are fetched: whether the family can be used, and nothing asks for code of its own."""
    config = read_model_config(file.parent)
    if file.name != "config.json":
        read_config(file, native=is_native(config))


def _pick(files: Iterable[RemoteFile], patterns: Sequence[str]) -> list[RemoteFile]:
    """The files that are needed. A name that would leave the folder is none of them."""
    safe = (f for f in files if not f.path.startswith("/") and ".." not in re.split(r"[\\/]", f.path))
    return [f for f in safe if any(fnmatch(f.path, p) and f.path.count("/") == p.count("/") for p in patterns)]


def _own_facts(folder: Path) -> dict[str, Any]:
    """What this program wrote beside an adapter it pushed; {} for those of others."""
    file = folder / "rlhf_desktop.json"
    return read_config(file) if file.is_file() else {}
