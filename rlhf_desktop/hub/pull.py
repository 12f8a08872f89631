"""Getting a base model or an adapter from the Hub: look, check that it fits, fetch with resume, compare hashes, take in.

Only what is needed is fetched, and only what may be loaded: JSON, tokenizer files, texts and safetensors (or one GGUF file). The
configuration comes first and is checked before the weights. Parts of files are kept when the connection breaks, so a
second try goes on where the first ended, across restarts of the program.
"""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, cast

from rlhf_desktop.core.errors import BadInput, HubTrouble, ModelTrouble, NoSpace, NotFound
from rlhf_desktop.core.files import fsync_dir, sha256_file, write_json
from rlhf_desktop.core.gguf_header import check_architecture
from rlhf_desktop.core.imported import ImportedAdapter, origin_file
from rlhf_desktop.core.modelfiles import ADAPTER_CONFIG, adapter_fits, check_adapter, check_model, read_config
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import FileLock, free_disk_bytes
from rlhf_desktop.core.rewardfiles import MEMBER_FILES, REWARD, check_reward
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.hub.client import Hub
from rlhf_desktop.hub.library import Library, LibraryModel, clean_name

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
_DTYPE_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2}
_CHUNK = 1 << 20
_FULL_NAME = re.compile(r"[\w.-]+/[\w.-]+")

Kind = Literal["model", "gguf", "adapter"]
AdapterKind = Literal["policy", "reward"]
Stop = Callable[[], bool]


@dataclass(frozen=True)
class Transfer:
    """How far a download or upload is."""

    done_bytes: int
    total_bytes: int
    file: str


OnTransfer = Callable[[Transfer], None]


@dataclass(frozen=True)
class RemoteFile:
    """One file as the Hub describes it. `sha256` for large files, else git's hash of the content."""

    path: str
    size: int
    sha256: str | None
    blob_id: str | None


@dataclass(frozen=True)
class RemoteModel:
    """A repository before anything of it is fetched."""

    repo: str
    revision: str  # the commit
    licence: str
    gated: bool
    private: bool
    downloads: int
    parameters: int | None
    size_bytes: int | None
    files: tuple[RemoteFile, ...] = ()
    architecture: str = ""  # of GGUF files, as the Hub has read it from one

    @property
    def ggufs(self) -> tuple[RemoteFile, ...]:
        """Its GGUF files, the largest (and so least compressed) first."""
        return tuple(sorted((f for f in self.files if f.path.endswith(".gguf")), key=lambda f: (-f.size, f.path)))

    @property
    def kind(self) -> Kind:
        """What it is, by its files.

        Raises:
            ModelTrouble: nothing in it can be loaded safely.
        """
        names = {file.path for file in self.files}
        if ADAPTER_CONFIG in names:
            return "adapter"
        if any(fnmatch(name, "*.safetensors") and "/" not in name for name in names):
            return "model"
        if any(name.endswith(".gguf") for name in names):
            return "gguf"
        if any(name.endswith((".bin", ".pt", ".pth", ".ckpt")) for name in names):
            hint = "Choose a model that is offered as *.safetensors or .gguf: the .bin and .pt formats can run code."
            raise ModelTrouble(f"The weights of “{self.repo}” are in a format that is not safe to load.", hint)
        raise ModelTrouble(f"“{self.repo}” holds no model.", "Choose another repository.")


class SeveralFiles(BadInput):
    """A repository has several GGUF files, and none was chosen."""

    def __init__(self, remote: RemoteModel) -> None:
        self.remote = remote
        names = ", ".join(f"{file.path} ({file.size / 1e9:.1f} GB)" for file in remote.ggufs[:12])
        super().__init__(
            f"“{remote.repo}” has several GGUF files.",
            f"Choose one of them (in a terminal: --file NAME): {names}. Q8_0 or F16 lose the least.",
        )


def search(hub: Hub, text: str, limit: int = 20) -> list[RemoteModel]:
    """Models whose name holds the text, most used first; a full name (owner/name) finds adapters and reward models too."""
    expand = ["cardData", "downloads", "gated", "gguf", "private", "safetensors", "sha"]
    named = _named(hub, text)
    found = hub.call(
        f"search for {text}",
        lambda api: list(
            api.list_models(search=text, pipeline_tag="text-generation", sort="downloads", limit=limit, expand=expand)
        ),
    )
    return [*named, *(_remote(info) for info in found if info.id not in [model.repo for model in named])]


def _named(hub: Hub, text: str) -> list[RemoteModel]:
    """The repository of exactly this name, if there is one: a search by words leaves out what writes no text."""
    try:
        return [look(hub, text)] if _FULL_NAME.fullmatch(text) else []
    except (NotFound, BadInput):
        return []


def revisions(hub: Hub, repo: str) -> list[str]:
    """What `look` can be asked for: branches, the usual one first, then tags.

    Raises:
        HubTrouble: the Hub failed.
    """
    refs = hub.call(repo, lambda api: api.list_repo_refs(repo))
    branches = sorted((ref.name for ref in refs.branches), key=lambda name: (name != "main", name))
    return [*branches, *(ref.name for ref in refs.tags)]


def look(hub: Hub, repo: str, revision: str | None = None) -> RemoteModel:
    """One repository with its files.

    Raises:
        NotFound: there is none of this name or revision.
        HubTrouble: it cannot be reached or refuses; says why.
    """
    return _remote(hub.call(repo, lambda api: api.model_info(repo, revision=revision, files_metadata=True)))


def _remote(info: Any) -> RemoteModel:
    files = tuple(
        RemoteFile(entry.rfilename, entry.size or 0, entry.lfs.sha256 if entry.lfs else None, entry.blob_id)
        for entry in info.siblings or ()
    )
    counts = dict(info.safetensors.parameters) if info.safetensors else {}
    sizes = sum(count * _DTYPE_BYTES.get(dtype, 1) for dtype, count in counts.items())
    weights = sum(file.size for file in files if file.path.endswith(".safetensors"))
    card = info.card_data.to_dict() if info.card_data else {}
    gguf = getattr(info, "gguf", None) or {}
    licence = card.get("license_name") or card.get("license") or ""
    return RemoteModel(
        repo=info.id,
        revision=info.sha or "main",
        licence=licence if isinstance(licence, str) else ", ".join(licence),
        gated=bool(info.gated),
        private=bool(info.private),
        downloads=info.downloads or 0,
        parameters=info.safetensors.total if info.safetensors else gguf.get("total") or weights // 2 or None,
        size_bytes=weights or sizes or None,
        files=files,
        architecture=str(gguf.get("architecture") or ""),
    )


def choose_gguf(remote: RemoteModel, file: str | None) -> RemoteFile:
    """The GGUF file asked for, or the only one.

    Raises:
        SeveralFiles: which one has to be said.
        ModelTrouble: they hold a kind of model that cannot be read.
    """
    check_architecture(remote.architecture, remote.repo)
    there = {entry.path: entry for entry in remote.ggufs}
    if file in there:
        return there[str(file)]
    if file is None and len(there) == 1:
        return next(iter(there.values()))
    raise SeveralFiles(remote)


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
            ref = self._library.add(folder / wanted.path, called, note, origin=_source(remote), licence=remote.licence)
            shutil.rmtree(folder)
            return ref
        files = _pick(remote.files, MODEL_FILES)
        folder = self._fetch(remote, files, sum(entry.size for entry in files), on_transfer, stop, first=read_config)
        note("Checking the files")
        try:
            check_model(folder)
        except ModelTrouble:
            shutil.rmtree(folder)  # it is as the Hub has it: nothing to go on with
            raise
        return self._library.adopt(folder, called, source=_source(remote), licence=remote.licence)

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
            shutil.rmtree(folder)  # nothing to go on with
            raise
        facts = _own_facts(folder)
        kind: AdapterKind = "reward" if config.get("task_type") == "SEQ_CLS" else "policy"
        origin = ImportedAdapter.new(
            called, kind, facts.get("algorithm", ""), base.name, base.hash, _source(remote), remote.licence
        )
        write_json(origin_file(folder), origin.model_dump(mode="json"))
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(target)
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
            for entry in sorted(files, key=lambda entry: (not entry.path.endswith("config.json"), entry.size)):
                fetch = _Fetch(self._hub, remote, entry, folder / entry.path, done, sum(f.size for f in files), on_transfer, stop)
                fetch.run()
                done += entry.size
                if first and entry.path.endswith("config.json"):
                    first(folder / entry.path)
        (folder / ".lock").unlink()
        return folder


@dataclass
class _Fetch:
    """One file: into `<name>.part`, which is kept when something breaks, then checked and renamed."""

    hub: Hub
    remote: RemoteModel
    entry: RemoteFile
    target: Path
    before_bytes: int
    total_bytes: int
    on_transfer: OnTransfer | None
    stop: Stop | None

    def run(self) -> None:
        if self.target.is_file():  # fetched, checked and renamed by an earlier try
            return
        self.target.parent.mkdir(parents=True, exist_ok=True)
        part = self.target.with_name(self.target.name + ".part")
        if part.is_file() and part.stat().st_size > self.entry.size:
            part.unlink()
        self.hub.call(self.remote.repo, lambda api: self._go_on(api, part))
        if not _is_right(part, self.entry):
            part.unlink()
            hint = "It was thrown away; trying again fetches it anew."
            raise HubTrouble(f"{self.entry.path} did not arrive as the Hub describes it.", hint)
        part.rename(self.target)

    def _go_on(self, api: Any, part: Path) -> None:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils._headers import build_hf_headers

        url = hf_hub_url(self.remote.repo, self.entry.path, revision=self.remote.revision, endpoint=api.endpoint)
        headers = build_hf_headers(token=self.hub.token, library_name="rlhf-desktop")
        headers["Accept-Encoding"] = "identity"  # sizes and ranges are those of the file
        with part.open("ab") as f:
            start = f.tell()
            if start < self.entry.size:
                http_get(url, cast(BinaryIO, _Watched(f, self)), resume_size=start, headers=headers, expected_size=self.entry.size)

    def wrote(self, at: int) -> None:
        """Tell how far it is; stop if that was asked."""
        if self.on_transfer:
            self.on_transfer(Transfer(self.before_bytes + at, self.total_bytes, self.entry.path))
        if self.stop and self.stop():
            raise HubTrouble("The download was stopped.", "What has arrived is kept: start it again to go on.")


class _Watched:
    """A file that tells how much was written to it."""

    def __init__(self, file: IO[bytes], fetch: _Fetch) -> None:
        self._file, self._fetch = file, fetch

    def write(self, data: bytes) -> int:
        for at in range(0, len(data), _CHUNK):
            self._file.write(data[at : at + _CHUNK])
            self._fetch.wrote(self._file.tell())
        return len(data)

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, at: int, whence: int = 0) -> int:
        return self._file.seek(at, whence)

    def truncate(self, size: int | None = None) -> int:
        return self._file.truncate(size)

    def flush(self) -> None:
        self._file.flush()


def _is_right(file: Path, entry: RemoteFile) -> bool:
    """Whether a file has the size and hash the Hub gave for it."""
    if file.stat().st_size != entry.size:
        return False
    if entry.sha256:
        return sha256_file(file) == entry.sha256
    content = file.read_bytes()
    return entry.blob_id is None or hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == entry.blob_id


def _pick(files: Iterable[RemoteFile], patterns: Sequence[str]) -> list[RemoteFile]:
    """The files that are needed. A name that would leave the folder is none of them."""
    safe = (f for f in files if not f.path.startswith("/") and ".." not in re.split(r"[\\/]", f.path))
    return [f for f in safe if any(fnmatch(f.path, p) and f.path.count("/") == p.count("/") for p in patterns)]


def _source(remote: RemoteModel) -> str:
    return f"hub:{remote.repo}@{remote.revision}"


def _own_facts(folder: Path) -> dict[str, Any]:
    """What this program wrote beside an adapter it pushed; {} for those of others."""
    file = folder / "rlhf_desktop.json"
    return read_config(file) if file.is_file() else {}
