"""What is on the Hub, before anything of it is fetched: searching, looking at one repository, choosing among its files."""

import re
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any, Literal

from rlhf_desktop.core.adapterfiles import ADAPTER_CONFIG
from rlhf_desktop.core.errors import BadInput, ModelTrouble, NotFound
from rlhf_desktop.core.families import TRIED, Verdict, verdict
from rlhf_desktop.core.gguf_header import check_architecture
from rlhf_desktop.hub.client import Hub

_DTYPE_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2}
_KINDS = ("text-generation", "image-text-to-text")  # those that see as well have a part that writes
_FULL_NAME = re.compile(r"[\w.-]+/[\w.-]+")

Kind = Literal["model", "gguf", "adapter"]


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
    verdict: Verdict = TRIED  # what can be done with its family, as far as the Hub tells

    @property
    def source(self) -> str:
        """Where it is, as models and adapters remember it: "hub:owner/name@commit"."""
        return f"hub:{self.repo}@{self.revision}"

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
    expand = ["cardData", "config", "downloads", "gated", "gguf", "private", "safetensors", "sha"]

    def ask(api: Any) -> list[Any]:
        asked = {"search": text, "sort": "downloads", "limit": limit, "expand": expand}
        return [info for kind in _KINDS for info in api.list_models(pipeline_tag=kind, **asked)]

    named = _named(hub, text)
    seen = {model.repo for model in named}
    found = {info.id: info for info in hub.call(f"search for {text}", ask) if info.id not in seen}
    best = sorted(found.values(), key=lambda info: -(info.downloads or 0))[:limit]
    return [*named, *(_remote(info) for info in best)]


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
    architecture = str(gguf.get("architecture") or "")
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
        architecture=architecture,
        verdict=_gguf_verdict(architecture) if architecture else verdict(getattr(info, "config", None) or {}),
    )


def _gguf_verdict(architecture: str) -> Verdict:
    """Of what a GGUF file holds, before it is fetched."""
    try:
        check_architecture(architecture, "This file")
    except ModelTrouble as trouble:
        return Verdict("refused", trouble.message)
    return verdict({"model_type": {"gemma3": "gemma3_text"}.get(architecture, architecture)})


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
