"""Publishing on the Hub: a plan that says exactly which bytes would go where, and then just that.

Private unless the user says otherwise, and never into a repository that is more public than the plan says. What an earlier plan
published and this one does not is removed: rows withdrawn since are no longer offered. Uploads of large files are by LFS: what
arrived before a break is not sent again.
"""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from rlhf_desktop.core.adapterfiles import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from rlhf_desktop.core.errors import BadInput, HubTrouble, NotFound
from rlhf_desktop.core.rewardfiles import HEADS, REWARD
from rlhf_desktop.core.words import count
from rlhf_desktop.hub.client import Hub

RepoKind = Literal["model", "dataset"]
_OURS = frozenset({ADAPTER_WEIGHTS, ADAPTER_CONFIG, HEADS, REWARD})  # besides data/*.jsonl
OnSent = Callable[[int, int], None]  # bytes gone, and in all
Stop = Callable[[], bool]


@dataclass(frozen=True)
class PlannedFile:
    """One file as it would go: its name there, and a file here or the bytes themselves."""

    path: str
    content: Path | bytes = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes that would be sent."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    @property
    def sha256(self) -> str:
        """The content's hash."""
        if isinstance(self.content, bytes):
            return hashlib.sha256(self.content).hexdigest()
        with self.content.open("rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()


@dataclass(frozen=True)
class PushPlan:
    """What would be published. Nothing is sent before `push`."""

    repo: str
    kind: RepoKind
    files: tuple[PlannedFile, ...]
    private: bool = True
    tag: str = ""
    message: str = "Published from RLHF Desktop"

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return sum(file.size for file in self.files)

    @property
    def card(self) -> str:
        """The README.md in the plan."""
        card = next(file.content for file in self.files if file.path == "README.md")
        return card.decode("utf-8") if isinstance(card, bytes) else card.read_text("utf-8")


@dataclass(frozen=True)
class Pushed:
    """Where it is now.

    Attributes:
        url: Its page.
        commit: The version made.
        private: What the Hub says of it, whatever the plan said.
        created: There was no such repository before.
        removed: Files of an earlier version that the plan no longer has.
        meant_public: The plan was to let everybody read it.
    """

    url: str
    commit: str
    private: bool
    created: bool
    removed: tuple[str, ...] = ()
    meant_public: bool = False

    @property
    def words(self) -> str:
        """Who may read it, and what was taken out, in sentences."""
        said = ["Only your account can read it." if self.private else "Everybody can read it."]
        if self.private and self.meant_public:
            said.append("The repository was private before and stays so; its settings on the Hub make it public.")
        if self.removed:
            gone = ", ".join(self.removed[:3]) + (" and others" if len(self.removed) > 3 else "")
            said.append(
                f"Removed from it: {gone}. Earlier versions stay in its history on the Hub until you delete the repository."
            )
        return " ".join(said)


def push(
    hub: Hub,
    plan: PushPlan,
    on_note: Callable[[str], None] | None = None,
    *,
    on_sent: OnSent | None = None,
    stop: Stop | None = None,
) -> Pushed:
    """Make the repository if there is none, and commit the plan's files in one go.

    Args:
        hub: The connection.
        plan: What goes where.
        on_note: Told what goes on, in words.
        on_sent: Told how far it is; from several threads.
        stop: Asked often; True ends it. Before the commit nothing is to be seen of it on the Hub.

    Raises:
        HubTrouble: no token, one that may not write, stopped, or the Hub failed; trying again sends only what is missing.
        BadInput: the repository is public and the plan is not.
    """
    if not hub.has_token:
        hint = "Make one with write permission on the Hub (Settings → Access Tokens), and give it in Settings or when asked."
        raise HubTrouble("Publishing needs your Hub token.", hint)
    note = on_note or (lambda _: None)
    note(f"Looking at {plan.repo}")
    _check(stop)
    there = _files_there(hub, plan)
    if there is None:
        hub.call(plan.repo, lambda api: _create(api, plan))
    stale = _stale(plan, there or ())
    note(
        f"Sending {count(len(plan.files), 'file')}, {plan.total_bytes / 1e6:,.1f} MB{f'; taking out {len(stale)}' if stale else ''}"
    )
    going = _Going(plan, on_sent, stop)
    info = hub.call(plan.repo, lambda api: _commit(api, plan, stale, going))
    if plan.tag:
        hub.call(
            plan.repo, lambda api: api.create_tag(plan.repo, tag=plan.tag, revision=info.oid, repo_type=plan.kind, exist_ok=True)
        )
    where = f"{hub.endpoint}/{'datasets/' if plan.kind == 'dataset' else ''}{plan.repo}"
    now = hub.call(plan.repo, lambda api: api.repo_info(plan.repo, repo_type=plan.kind))
    return Pushed(where, info.oid, bool(now.private), there is None, stale, not plan.private)


def _files_there(hub: Hub, plan: PushPlan) -> tuple[str, ...] | None:
    """The files of the repository; None when there is none."""
    try:
        info = hub.call(plan.repo, lambda api: api.repo_info(plan.repo, repo_type=plan.kind))
    except NotFound:
        return None
    if plan.private and not info.private:
        hint = "Publish publicly on purpose (--public), or choose another name."
        raise BadInput(f"“{plan.repo}” is there already and everybody can read it.", hint)
    return tuple(file.rfilename for file in info.siblings or ())


def _stale(plan: PushPlan, there: Sequence[str]) -> tuple[str, ...]:
    """Files that this program writes, are in the repository, and are not in the plan. What others put there is left alone."""
    planned = {file.path for file in plan.files}
    return tuple(path for path in there if path not in planned and _is_ours(path))


def _is_ours(path: str) -> bool:
    return path.rpartition("/")[2] in _OURS or (path.startswith("data/") and path.endswith(".jsonl"))


def _create(api: Any, plan: PushPlan) -> None:
    api.create_repo(plan.repo, private=plan.private, repo_type=plan.kind, exist_ok=True)


def _commit(api: Any, plan: PushPlan, stale: Sequence[str], going: "_Going") -> Any:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    contents = [_Content(file, going) for file in plan.files]
    try:
        operations: list[Any] = [CommitOperationAdd(file.path, content) for file, content in zip(plan.files, contents, strict=True)]
        operations += [CommitOperationDelete(path) for path in stale]
        going.begin(contents)  # reading them so far was to know their hashes
        done = api.create_commit(plan.repo, operations, commit_message=plan.message, repo_type=plan.kind)
        going.tell(plan.total_bytes)  # what had arrived before was not read again
        return done
    finally:
        for content in contents:
            content.close()


def _check(stop: Stop | None) -> None:
    if stop and stop():
        raise HubTrouble("Publishing was stopped.", "Nothing is to be seen of it on the Hub. Start it again to go on.")


class _Going:
    """How far it is, and whether it is to end."""

    def __init__(self, plan: PushPlan, on_sent: OnSent | None, stop: Stop | None) -> None:
        self._total, self._on_sent, self._stop = plan.total_bytes, on_sent, stop
        self._contents: Sequence[_Content] = ()

    def begin(self, contents: Sequence["_Content"]) -> None:
        self._contents = contents

    def read(self) -> None:
        """Some bytes are about to go."""
        _check(self._stop)
        self.tell(sum(content.reached for content in self._contents))

    def tell(self, done_bytes: int) -> None:
        if self._contents and self._on_sent:
            self._on_sent(done_bytes, self._total)


class _Content(io.BufferedReader):
    """A file's bytes on their way."""

    def __init__(self, file: PlannedFile, going: _Going) -> None:
        raw = io.BytesIO(file.content) if isinstance(file.content, bytes) else file.content.open("rb", buffering=0)
        super().__init__(cast(io.RawIOBase, raw))
        self._going = going
        self.reached = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._going.read()
        found = super().read(size)
        self.reached = self.tell()
        return found
