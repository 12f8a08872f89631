"""What the Models room does with the library and the Hub, off the GUI thread. Qt-free."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rlhf_desktop.core.errors import NotFound
from rlhf_desktop.core.families import Verdict
from rlhf_desktop.core.files import discard
from rlhf_desktop.core.imported import ImportedAdapter
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import free_disk_bytes
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.hub.cards import Statement
from rlhf_desktop.hub.client import Hub, endpoint_address
from rlhf_desktop.hub.fetching import Transfer
from rlhf_desktop.hub.library import Library, LibraryModel
from rlhf_desktop.hub.pull import Puller
from rlhf_desktop.hub.push import Pushed, PushPlan, push
from rlhf_desktop.hub.remote import RemoteModel, look, revisions
from rlhf_desktop.hub.tokens import Keepers
from rlhf_desktop.jobs.adapters import IMPORTED, AdapterInfo, list_adapters
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations.door import welcome
from rlhf_desktop.operations.measured import measures
from rlhf_desktop.operations.project_erasing import listed_adapters
from rlhf_desktop.operations.publishing import adapter_card, plan_adapter
from rlhf_desktop.operations.removing import check_unneeded
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui import words
from rlhf_desktop.ui.models.datawork import Reached
from rlhf_desktop.ui.models.hubresult import Offer, Wanted
from rlhf_desktop.ui.models.lineage import AdapterEntry


@dataclass(frozen=True)
class ModelFacts:
    """What the room shows, read off the GUI thread."""

    models: Sequence[LibraryModel]
    adapters: Sequence[AdapterEntry]
    free_bytes: float = 0

    @property
    def repositories(self) -> frozenset[str]:
        """Of the Hub, those that are here: "owner/name"."""
        came = [model.source.removeprefix("hub:") for model in self.models if model.source.startswith("hub:")]
        return frozenset(source.partition("@")[0] for source in came)

    @property
    def disk_words(self) -> str:
        """How much of the disk all of it takes."""
        models, adapters = sum(m.disk_bytes for m in self.models), sum(a.size_bytes for a in self.adapters)
        also = f", adapters {words.size(adapters)}" if self.adapters else ""
        return f"On disk: base models {words.size(models)}{also}. {words.size(self.free_bytes)} are free."


def read_facts(workspace: Workspace, library: Library, store: Store) -> ModelFacts:
    """The library and every adapter."""
    known = measures(workspace, store)
    adapters = [entry_of(workspace, info, known.get(info.ref.hash, "")) for info in listed_adapters(store, Queue(workspace))]
    return ModelFacts(library.list(), adapters, free_disk_bytes(workspace.root))


def entry_of(workspace: Workspace, info: AdapterInfo, measure: str = "") -> AdapterEntry:
    """An adapter with its place in the lineage, its size on disk, and how good it is as far as anybody knows."""
    came = info.run_id.startswith(IMPORTED)
    start = None if came else RunFolder(workspace.runs / info.run_id).config().start
    size = sum(file.stat().st_size for file in Path(info.ref.path).rglob("*") if file.is_file())
    made = datetime.fromisoformat(info.created).timestamp()
    return AdapterEntry(info.ref, info.run_id, info.algorithm, start.hash if start else None, made, size, info.kind, measure)


def delete_base(workspace: Workspace, library: Library, model: LibraryModel) -> None:
    """Forget a base model that no run needs."""
    check_unneeded(workspace, model.hash, model.name)
    library.remove(model.name)


def delete_adapter(workspace: Workspace, entry: AdapterEntry) -> None:
    """Delete an adapter that no run needs."""
    check_unneeded(workspace, entry.ref.hash, entry.ref.name)
    folder = Path(entry.ref.path)
    if not folder.is_dir():
        raise NotFound(f"{entry.ref.name} is gone already.", "The list has been read again.")
    discard(folder, entry.ref.name)


class HubWork:
    """The Hub with this session's token, and one download at a time that can be stopped."""

    def __init__(self, workspace: Workspace, library: Library, keys: Keepers) -> None:
        self._workspace, self._library = workspace, library
        self.keeper = keys.of(endpoint_address())
        self._stopped = threading.Event()

    def hub(self) -> Hub:
        """A connection; asks the keyring, so not on the GUI thread."""
        return Hub(self.keeper.get())

    def stop(self) -> None:
        """End the download under way; what has arrived is kept."""
        self._stopped.set()

    def offer(self, model: RemoteModel) -> Offer:
        """What there is of a repository to choose from."""
        hub = self.hub()
        return Offer(look(hub, model.repo), revisions(hub, model.repo))

    def pull(self, wanted: Wanted, on_progress: Callable[[object], None]) -> tuple[ModelRef, Verdict] | ImportedAdapter:
        """Fetch a model, and try it, or an adapter; `on_progress` gets a `Transfer` some times a second, or a sentence."""
        self._stopped.clear()
        hub = self.hub()
        remote = look(hub, wanted.model.repo, wanted.revision)
        puller = Puller(hub, self._workspace, self._library)
        tell = Thinned(on_progress)
        if remote.kind == "adapter":
            bases = self._library.list()
            return puller.adapter(remote, bases, name=wanted.name, on_transfer=tell, stop=self._stopped.is_set)
        asked = {"name": wanted.name, "file": wanted.file}

        def bring() -> ModelRef:
            return puller.model(remote, **asked, on_transfer=tell, on_note=on_progress, stop=self._stopped.is_set)

        return welcome(self._workspace, self._library, bring, on_progress)


class Thinned:
    """Passes on a transfer at most ten times a second, and the last one always."""

    def __init__(self, on_progress: Callable[[object], None]) -> None:
        self._on_progress, self._told_s = on_progress, 0.0

    def __call__(self, transfer: Transfer) -> None:
        """Tell, unless it was told just now."""
        now = time.monotonic()
        if now - self._told_s > 0.1 or transfer.done_bytes == transfer.total_bytes:
            self._told_s = now
            self._on_progress(transfer)


def send(
    hub: HubWork,
    plan: PushPlan,
    token: str,
    tell: Callable[[object], None],
    stop: Callable[[], bool],
    note: Callable[[Pushed], None],
) -> Pushed:
    """Publish a plan, with a token just typed or the one that is kept. `tell` gets a `Reached` now and then, `note` the outcome."""
    tell(Reached(0, 0, "Connecting…"))
    if token:
        hub.keeper.keep(token)

    def sent(done: int, total: int) -> None:
        tell(Reached(done, total, f"Sending: {words.size(done)} of {words.size(total)}"))

    done = push(hub.hub(), plan, lambda said: tell(Reached(0, 0, said)), on_sent=sent, stop=stop)
    note(done)
    return done


def plan_of(
    workspace: Workspace,
    library: Library,
    store: Store,
    entry: AdapterEntry,
    repo: str,
    said: Statement,
    *,
    private: bool,
    tag: str,
) -> PushPlan:
    """What publishing an adapter would send."""
    info = next(info for info in list_adapters(workspace) if info.ref.hash == entry.ref.hash)
    card = adapter_card(workspace, library, store, info)
    return plan_adapter(repo, Path(entry.ref.path), card, said, private=private, tag=tag)
