"""The Models room: base models, the adapters trained on each, and stronger models one may fetch."""

import threading
import time
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Qt, QTimer, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.families import TRIED, Verdict
from rlhf_desktop.core.fit import model_fit
from rlhf_desktop.core.imported import ImportedAdapter
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.hub.client import Gated, TokenTrouble
from rlhf_desktop.hub.fetching import Transfer
from rlhf_desktop.hub.library import STARTER, LibraryModel, OnProgress
from rlhf_desktop.hub.remote import RemoteModel, SeveralFiles, search
from rlhf_desktop.jobs.device import known_device, probe_device
from rlhf_desktop.operations.door import welcome
from rlhf_desktop.operations.written import Written
from rlhf_desktop.ui import words
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.loading import Loading, LoadingKeeper
from rlhf_desktop.ui.models.addpanel import AddPanel
from rlhf_desktop.ui.models.cards import BaseCard
from rlhf_desktop.ui.models.datapage import DataPage
from rlhf_desktop.ui.models.hubresult import HubResult, Offer, Wanted
from rlhf_desktop.ui.models.lineage import AdapterEntry
from rlhf_desktop.ui.models.panels import PublishingCard
from rlhf_desktop.ui.models.servers import ServerCard
from rlhf_desktop.ui.models.share import Sharing
from rlhf_desktop.ui.models.suggestions import SuggestionsCard
from rlhf_desktop.ui.models.work import HubWork, ModelFacts, delete_adapter, delete_base, read_facts
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import EmptyState, Notice, Page, Pages, clear, column, row
from rlhf_desktop.ui.widgets.text import caption, title
from rlhf_desktop.ui.widgets.written import WrittenCard


class ModelsRoom(QObject):
    """What can be chatted with, and where it came from."""

    title, icon = "Models", "models"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._front = self._probed = self._is_bare = False
        self._here: frozenset[str] = frozenset()  # the Hub's repositories that are in the library
        self._page = ""  # of the gated model the notice is about
        self._probing = threading.Lock()
        self._preparing = LoadingKeeper(self._show_preparing, self)
        self._hub = HubWork(context.workspace, context.library, context.keys)
        self.sharing = Sharing(context, self._hub, self._say)
        self.sharing.closed.connect(self._changed)
        self._root = Page(t.CONTENT_WIDTH)
        self._root.setProperty("kind", "page")
        self._build()
        self.sharing.exporting.connect(self.written.hide)
        self.sharing.written.connect(self._show_written)
        self.data = DataPage(context, self._hub)
        self._pages = Pages()
        self._pages.addWidget(self._root)
        self._pages.addWidget(self.data)
        self._connect()

    def _build(self) -> None:
        head = row()
        names = column(spacing=t.SPACE_XS)
        names.addWidget(title("Models"))
        names.addWidget(
            TermLabel(
                "A base model is never changed: each training run adds a small adapter on top of it.", tone="muted", wrap=True
            )
        )
        head.addLayout(names, 1)
        self.add_button = Button("Add a model…", "primary", icon="plus")
        head.addWidget(self.add_button, 0, Qt.AlignmentFlag.AlignBottom)
        body = self._root.body
        body.addLayout(head)
        self.adding = AddPanel()
        self.adding.hide()
        self.add_folder, self.add_file = self.adding.folder, self.adding.file
        self.notice = Notice("info", "")  # above what was asked for: a long list of results would hide it
        self.notice.hide()
        body.addWidget(self.notice)
        self.written = WrittenCard()
        body.addWidget(self.written)
        body.addWidget(self.adding)
        self._cards = column(spacing=t.SPACE_M)
        body.addLayout(self._cards)
        self.disk = caption("")
        self.disk.hide()
        body.addWidget(self.disk)
        self.empty = EmptyState(
            "models",
            "No model yet",
            "The starter model is small and made for trying things out. Preparing it takes a minute, once.",
            "Prepare the starter model",
        )
        self.empty.hide()
        body.addWidget(self.empty)
        self.servers = ServerCard(self._context)
        body.addWidget(self.servers)
        publishing = PublishingCard()
        self.publish_data = publishing.begin
        body.addWidget(publishing)
        self.suggestions = SuggestionsCard(known_device())
        body.addWidget(self.suggestions)
        body.addStretch(1)

    def _connect(self) -> None:
        """Every connection of this room."""
        session = self._context.session
        adding = self.adding
        self.add_button.clicked.connect(self._toggle_adding)
        self.notice.acted.connect(self._act)
        adding.starterAsked.connect(self.prepare_starter)
        adding.folderAsked.connect(self._choose_folder)
        adding.fileAsked.connect(self._choose_file)
        adding.searched.connect(self.search)
        adding.pullAsked.connect(self.pull)
        adding.versionsAsked.connect(self.show_versions)
        adding.stopAsked.connect(self._hub.stop)
        adding.settingsAsked.connect(lambda: session.roomRequested.emit("settings"))
        session.networkChanged.connect(lambda: adding.show_network(session.network))
        adding.show_network(session.network)
        self.empty.began.connect(self.prepare_starter)
        self.suggestions.asked.connect(self.pull)
        self.suggestions.settingsAsked.connect(lambda: session.roomRequested.emit("settings"))
        session.networkChanged.connect(lambda: self.suggestions.show_network(session.network))
        self.suggestions.show_network(session.network)
        self.publish_data.clicked.connect(self.show_publishing)
        self.data.left.connect(self._show_list)
        session.modelChanged.connect(self._changed)
        session.modelsChanged.connect(self._changed)
        session.runsChanged.connect(self._changed)

    def widget(self) -> QWidget:
        """The room."""
        return self._pages

    def focus_place(self) -> QWidget:
        """No control at all."""
        return self._pages

    def activated(self) -> None:
        """Look again; the first time, also ask what the computer has."""
        self._front = True
        self.refresh()
        if not self._probed:
            self._probed = True
            self._context.tasks.run(
                self._device, on_success=self.suggestions.show_memory, on_failure=self._context.session.troubled.emit
            )

    def _show_written(self, written: Written) -> None:
        self.notice.hide()
        self.written.show_written(written)

    def deactivated(self) -> None:
        """Nothing runs; notes are kept as they are."""
        self._front = False
        self.sharing.settle()

    def _changed(self) -> None:
        """Look again, but never while something is being filled in under a card."""
        if self._front and not self.sharing.is_open:
            self.refresh()

    def _device(self) -> dict[str, Any]:
        """What the computer has. Takes seconds the first time: whoever asks meanwhile waits for the same answer."""
        with self._probing:
            return probe_device()

    def _memory_bytes(self) -> float | None:
        """None where it cannot be told: then no verdict is given."""
        try:
            return self._device().get("memory_total_bytes")
        except AppError:
            return None

    # --- showing

    def refresh(self) -> None:
        """Read the library and the runs off this thread."""
        self._context.tasks.run(self._load, on_success=self._show, on_failure=self._context.session.troubled.emit)

    def _load(self) -> ModelFacts:
        return read_facts(self._context.workspace, self._context.library, self._context.store)

    def _show(self, facts: ModelFacts) -> None:
        self._here = facts.repositories
        self.adding.show_here(self._here)
        self.suggestions.show_here(self._here)
        self._is_bare = all(model.name == STARTER for model in facts.models)
        self._show_suggestions()
        if self.sharing.is_open:
            return  # or is about to be: asked for while the list was read
        clear(self._cards)
        session = self._context.session
        for model in facts.models:
            card = BaseCard(model, facts.adapters, session.base, session.adapter, self.sharing.notes())
            card.chosen.connect(lambda adapter, model=model: self.make_current(model.name, adapter))
            card.removed.connect(lambda model=model: self.remove(model))
            card.adapterRemoved.connect(self.remove_adapter)
            card.runOpened.connect(session.runRequested)
            card.asked.connect(lambda entry, what, model=model, card=card: self._asked(model, card, entry, what))
            self._cards.addWidget(card)
        self.empty.setVisible(not facts.models)
        self.disk.setText(facts.disk_words if facts.models else "")
        self.disk.setVisible(bool(facts.models))

    def show_publishing(self) -> None:
        """The page that publishes the project's comparisons."""
        self._pages.setCurrentWidget(self.data)
        self.data.begin()

    def _show_list(self) -> None:
        if self._pages.currentWidget() is self.data:
            self._pages.setCurrentWidget(self._root)
            self.publish_data.setFocus(Qt.FocusReason.PopupFocusReason)  # it only opens a page
            self._changed()

    # --- doing

    def _asked(self, model: LibraryModel, card: BaseCard, entry: AdapterEntry | None, what: str) -> None:
        """Something from a line's menu."""
        line = card.lines[entry.ref.hash] if entry else card.line
        if what == "current":
            self.make_current(model.name, entry.ref if entry else None)
        elif what == "compare" and entry is not None:
            self._context.session.evaluationRequested.emit(entry.run_id)
        elif what.startswith("hold:"):
            self.hold(model, what.removeprefix("hold:"))
        else:
            self.sharing.open(what, line, model, entry)

    def hold(self, model: LibraryModel, quantization: str) -> None:
        """Hold the model in 4-bit numbers from now on, whole, or as the adapter on it was trained; in a run its settings count."""
        library, session = self._context.library, self._context.session

        def work() -> ModelRef:
            library.hold(model.name, quantization)
            return library.get(model.name)

        def held(ref: ModelRef) -> None:
            if session.base is not None and session.base.hash == ref.hash:
                session.set_model(ref, session.adapter)
            self.refresh()

        self._context.tasks.run(work, on_success=held, on_failure=self._failed)

    def show_adding(self) -> None:
        """Open what adds a model."""
        if not self.adding.isVisible():
            self._toggle_adding()

    def _show_suggestions(self) -> None:
        """Right below while a model is being added; until there is one for real work, below everything else too."""
        adding, body = self.adding.isVisibleTo(self._root), self._root.body
        body.removeWidget(self.suggestions)
        body.insertWidget(body.indexOf(self.adding) + 1 if adding else body.count() - 1, self.suggestions)
        self.suggestions.setVisible(self._is_bare or adding)

    def _toggle_adding(self) -> None:
        self.adding.setVisible(not self.adding.isVisible())
        self._show_suggestions()
        if self.adding.isVisible():
            self.adding.query.setFocus()

    def find_on_hub(self, text: str) -> None:
        """Open the search with these words, and search if that is allowed."""
        self.adding.show()
        self._show_suggestions()
        self.adding.query.setText(text)
        self._root.ensureWidgetVisible(self.adding)
        if self.adding.search.isEnabled():
            self.search(text)

    def search(self, text: str) -> None:
        """Ask the Hub."""
        self.adding.show_searching()
        self._context.tasks.run(
            lambda: (search(self._hub.hub(), text), self._memory_bytes()),
            on_success=lambda found: self.adding.show_results(*found, text, self._here),
            on_failure=lambda trouble: self.adding.show_failed(str(trouble)),
        )

    def show_versions(self, line: HubResult) -> None:
        """Ask the Hub what there is to choose from, and show it under the line."""
        line.versions.setEnabled(False)
        self._context.tasks.run(
            lambda: self._hub.offer(line.model),
            on_success=lambda offer: self._offered(line, offer),
            on_failure=lambda trouble: self._not_offered(line, trouble),
        )

    def _offered(self, line: HubResult, offer: Offer | None) -> None:
        if line not in self.adding.results():
            return  # another search meanwhile
        line.versions.setEnabled(True)
        if offer is not None:
            line.show_offer(offer)

    def _not_offered(self, line: HubResult, trouble: AppError) -> None:
        self._offered(line, None)
        self._failed(trouble)

    def pull(self, wanted: Wanted) -> None:
        """Download in the background; it can be stopped, and goes on where it ended."""
        model = wanted.model
        fit = model_fit(model.parameters or 0, (known_device() or {}).get("memory_total_bytes"))  # known since the search
        if model.parameters and fit.verdict == "won't fit":
            self._failed(AppError(f"{model.repo} is too large for this computer.", fit.sentence))
            return
        self._enable(False)
        self.adding.show()
        self._show_suggestions()
        self._root.ensureWidgetVisible(self.adding)  # it shows how far it is, and stops it
        self._say("clock", f"Downloading {model.repo}. You can go on working.", "muted")
        self._began: tuple[float, int] | None = None  # when the first bytes came, and how many were there before
        self._context.tasks.run(
            lambda on_progress: self._hub.pull(wanted, on_progress),
            on_success=self._pulled,
            on_failure=lambda trouble: self._not_pulled(model, trouble),
            on_progress=self._show_progress,
        )

    def _show_progress(self, said: object) -> None:
        if isinstance(said, Transfer):
            self._began = self._began or (time.monotonic(), said.done_bytes)
            spent, fresh = time.monotonic() - self._began[0], said.done_bytes - self._began[1]
            pace = spent / fresh if fresh and spent > 1 else 0
            left = f", {words.duration(pace * (said.total_bytes - said.done_bytes))} left" if pace else ""
            self.adding.show_transfer(said, left)
        else:
            self._say("clock", str(said), "muted")

    def _not_pulled(self, model: RemoteModel, trouble: AppError) -> None:
        """Where a choice is missing, offer it; else say what went wrong."""
        if isinstance(trouble, SeveralFiles):
            self._enable(True)
            self._say("info", f"{model.repo} has several files: choose one.", "text")
            for line in self.adding.results():
                if line.model.repo == model.repo:
                    self.show_versions(line)
            return
        self._failed(trouble)

    def _pulled(self, found: tuple[ModelRef, Verdict] | ImportedAdapter) -> None:
        self.adding.show_transfer(None)
        if isinstance(found, tuple):
            self._added(*found)
            return
        self._enable(True)
        self._say("success", f"{found.name} is here, on {found.base_name}.", "success")
        self._context.session.modelsChanged.emit()
        self.refresh()

    def make_current(self, name: str, adapter: AdapterRef | None, then: str = "") -> None:
        """Chat with this model from now on."""

        def chosen(base: ModelRef) -> None:
            self._context.session.set_model(base, adapter)
            self._context.session.announce(f"Chat now uses {adapter.name if adapter else base.name}.")
            if then:
                self._context.session.roomRequested.emit(then)

        self._context.tasks.run(self._context.library.get, name, on_success=chosen, on_failure=self._failed)

    def prepare_starter(self) -> None:
        """Convert the starter model."""
        self._preparing.begin("Preparing the starter model")
        self._enable(False)
        self._context.tasks.run(
            self._ensure_starter, on_success=self._added, on_failure=self._failed, on_progress=self._preparing.step
        )

    def _ensure_starter(self, on_progress: OnProgress) -> ModelRef:
        return self._context.library.ensure_starter(on_progress)

    def _choose_folder(self) -> None:
        dialog = QFileDialog(self._root, "Add a model folder")
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        self._choose(dialog)

    def _choose_file(self) -> None:
        dialog = QFileDialog(self._root, "Add a GGUF file", "", "GGUF models (*.gguf)")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        self._choose(dialog)

    def _choose(self, dialog: QFileDialog) -> None:
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: self.add(Path(path)))
        dialog.open()

    def add(self, source: Path) -> None:
        """Add a folder or a GGUF file in the background; troubles are said here."""
        self._say("clock", f"Looking at {source.name}…", "muted")
        self._enable(False)

        def work(on_progress: OnProgress) -> tuple[ModelRef, Verdict]:
            context = self._context
            return welcome(context.workspace, context.library, lambda: context.library.add(source, None, on_progress), on_progress)

        self._context.tasks.run(
            work,
            on_success=lambda found: self._added(*found),
            on_failure=self._failed,
            on_progress=self._preparing.step,
        )

    def _show_preparing(self, loading: Loading | None) -> None:
        """How far the conversion is: in words above, as a bar where models are added."""
        self.adding.show_loading(loading)
        if loading is not None:
            self._say("clock", loading.words, "muted")

    def _added(self, base: ModelRef, found: Verdict = TRIED) -> None:
        self._preparing.end()
        self._enable(True)
        limited = found.kind == "chats"
        said = f"{base.name} is in the library. {found.reason if limited else ''}".strip()
        self._say("info" if limited else "success", said, "text" if limited else "success")
        self._context.session.modelsChanged.emit()
        if self._context.session.base is None:
            self._context.session.set_model(base)
        self.refresh()

    def _failed(self, trouble: AppError) -> None:
        self._preparing.end()
        self._enable(True)
        self.adding.show_transfer(None)
        self._page = trouble.page if isinstance(trouble, Gated) else ""
        remedy = "Open its page" if self._page else "Settings" if isinstance(trouble, TokenTrouble) else ""
        self._say("alert", str(trouble), "danger", remedy)

    def _enable(self, on: bool) -> None:
        self.adding.set_busy(not on)
        self.suggestions.set_busy(not on)

    def remove(self, model: LibraryModel) -> None:
        """Forget a base model that chat does not use; the card has asked already."""
        base = self._context.session.base
        if base and base.name == model.name:
            self._failed(AppError(f"{model.name} is in use.", "Make another model current first."))
            return
        self._context.tasks.run(
            lambda: delete_base(self._context.workspace, self._context.library, model),
            on_success=lambda _none: self._removed(model.name),
            on_failure=self._failed,
        )

    def remove_adapter(self, entry: AdapterEntry) -> None:
        """Delete what a run has made; the run, its charts and its settings stay."""
        current = self._context.session.adapter
        if current and current.hash == entry.ref.hash:
            self._failed(AppError(f"{entry.ref.name} is in use.", "Make another model current first."))
            return
        self._context.tasks.run(
            lambda: delete_adapter(self._context.workspace, entry),
            on_success=lambda _none: self._removed(entry.ref.name),
            on_failure=self._failed,
        )

    def _removed(self, name: str) -> None:
        self._say("success", f"{name} was removed. Your feedback is untouched.", "success")
        self._context.session.modelsChanged.emit()
        self.refresh()

    def _say(self, icon: str, text: str, tone: t.Role, action: str = "") -> None:
        self.notice.say(icon, text, tone, action)
        self.notice.show()
        if tone != "muted":  # progress scrolls nobody away from what they do meanwhile
            QTimer.singleShot(0, self._root, lambda: self._root.ensureWidgetVisible(self.notice))

    def _act(self) -> None:
        """What the notice's button is for: a gated model's page, or the place where a token is given."""
        if self._page:
            QDesktopServices.openUrl(QUrl(self._page))
        else:
            self._context.session.roomRequested.emit("settings")
