"""The Models room: base models, the adapters trained on each, and stronger models one may fetch."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QFileDialog, QGridLayout, QWidget

from rlhf_desktop.core.errors import AppError, NotFound
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.hub.library import LibraryModel
from rlhf_desktop.jobs.adapters import AdapterInfo, list_adapters
from rlhf_desktop.jobs.device import known_device, probe_device
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.ui import words
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.frame.welcome import SUGGESTIONS, fit
from rlhf_desktop.ui.models.cards import BaseCard
from rlhf_desktop.ui.models.lineage import AdapterEntry
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Card, EmptyState, Notice, Page, clear, column, row
from rlhf_desktop.ui.widgets.text import Label, caption, title


@dataclass(frozen=True)
class ModelFacts:
    """What the room shows, read off the GUI thread."""

    models: Sequence[LibraryModel]
    adapters: Sequence[AdapterEntry]


class ModelsRoom(QObject):
    """What can be chatted with, and where it came from."""

    title, icon = "Models", "models"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._front = self._probed = False
        self._root = Page(t.CONTENT_WIDTH)
        self._root.setProperty("kind", "page")
        self._build()
        self._connect()

    def _build(self) -> None:
        head = row()
        names = column(spacing=t.SPACE_XS)
        names.addWidget(title("Models"))
        names.addWidget(
            Label("A base model is never changed: each training run adds a small adapter on top of it.", tone="muted", wrap=True)
        )
        head.addLayout(names, 1)
        self.add_folder = Button("Add a folder…", icon="folder")
        self.add_file = Button("Add a GGUF file…", icon="file")
        head.addWidget(self.add_folder, 0, Qt.AlignmentFlag.AlignBottom)
        head.addWidget(self.add_file, 0, Qt.AlignmentFlag.AlignBottom)
        body = self._root.body
        body.addLayout(head)
        self.notice = Notice("info", "")
        self.notice.hide()
        body.addWidget(self.notice)
        self._cards = column(spacing=t.SPACE_M)
        body.addLayout(self._cards)
        self.empty = EmptyState(
            "models",
            "No model yet",
            "The starter model is small and made for trying things out. It is prepared once.",
            "Prepare the starter model",
        )
        self.empty.hide()
        body.addWidget(self.empty)
        body.addWidget(self._suggestions())
        body.addStretch(1)

    def _suggestions(self) -> QWidget:
        card = Card("Models for real work")
        card.body.addWidget(
            caption(
                "Download one from the Hugging Face Hub where there is internet, copy its folder here, then press “Add a folder”.",
                wrap=True,
            )
        )
        grid = QGridLayout()
        grid.setHorizontalSpacing(t.SPACE_XL)
        grid.setVerticalSpacing(t.SPACE_S)
        self._fits: list[Label] = []
        for place, model in enumerate(SUGGESTIONS):
            grid.addWidget(Label(model.name, strong=True), place, 0)
            grid.addWidget(Label(f"{model.parameters / 1e9:.1f} billion parameters"), place, 1)
            grid.addWidget(Label(model.licence), place, 2)
            self._fits.append(Label("", strong=True))
            grid.addWidget(self._fits[-1], place, 3)
            grid.addWidget(Label(model.note, tone="muted", wrap=True), place, 4)
        grid.setColumnStretch(4, 1)
        card.body.addLayout(grid)
        self._memory = caption("")
        card.body.addWidget(self._memory)
        self._show_memory(known_device())
        return card

    def _connect(self) -> None:
        """Every connection of this room."""
        session = self._context.session
        self.add_folder.clicked.connect(self._choose_folder)
        self.add_file.clicked.connect(self._choose_file)
        self.empty.began.connect(self.prepare_starter)
        session.modelChanged.connect(self._changed)
        session.modelsChanged.connect(self._changed)
        session.runsChanged.connect(self._changed)

    def widget(self) -> QWidget:
        """The room."""
        return self._root

    def activated(self) -> None:
        """Look again; the first time, also ask what the computer has."""
        self._front = True
        self.refresh()
        if not self._probed:
            self._probed = True
            self._context.tasks.run(probe_device, on_success=self._show_memory, on_failure=self._context.session.troubled.emit)

    def deactivated(self) -> None:
        """Nothing runs."""
        self._front = False

    def _changed(self) -> None:
        if self._front:
            self.refresh()

    # --- showing

    def refresh(self) -> None:
        """Read the library and the runs off this thread."""
        self._context.tasks.run(self._load, on_success=self._show, on_failure=self._context.session.troubled.emit)

    def _load(self) -> ModelFacts:
        workspace = self._context.workspace
        return ModelFacts(
            self._context.library.list(), [_entry(RunFolder(workspace.runs / a.run_id), a) for a in list_adapters(workspace)]
        )

    def _show(self, facts: ModelFacts) -> None:
        clear(self._cards)
        session = self._context.session
        for model in facts.models:
            card = BaseCard(model, facts.adapters, session.base, session.adapter)
            card.chosen.connect(lambda adapter, model=model: self.make_current(model.name, adapter))
            card.removed.connect(lambda model=model: self.remove(model))
            card.adapterRemoved.connect(self.remove_adapter)
            card.runOpened.connect(session.runRequested)
            self._cards.addWidget(card)
        self.empty.setVisible(not facts.models)

    def _show_memory(self, device: dict | None) -> None:
        total = device.get("memory_total_bytes") if device else None
        for label, model in zip(self._fits, SUGGESTIONS, strict=True):
            said, tone = fit(model.needs_bytes, total)
            label.setText(said)
            label.set_tone(tone)
        self._memory.setText(f"This computer: {device.get('name', '')}, {words.size(total)} of memory." if device and total else "")

    # --- doing

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
        self._say("clock", "Preparing the starter model…", "muted")
        self._context.tasks.run(
            self._ensure_starter,
            on_success=self._added,
            on_failure=self._failed,
            on_progress=lambda said: self._say("clock", str(said), "muted"),
        )

    def _ensure_starter(self, on_progress) -> ModelRef:
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

        def work(on_progress) -> ModelRef:
            return self._context.library.add(source, None, on_progress)

        self._context.tasks.run(
            work, on_success=self._added, on_failure=self._failed, on_progress=lambda said: self._say("clock", str(said), "muted")
        )

    def _added(self, base: ModelRef) -> None:
        self._enable(True)
        self._say("success", f"{base.name} is in the library.", "success")
        self._context.session.modelsChanged.emit()
        if self._context.session.base is None:
            self._context.session.set_model(base)
        self.refresh()

    def _failed(self, trouble: AppError) -> None:
        self._enable(True)
        self._say("alert", str(trouble), "danger")

    def _enable(self, on: bool) -> None:
        self.add_folder.setEnabled(on)
        self.add_file.setEnabled(on)

    def remove(self, model: LibraryModel) -> None:
        """Forget a base model that chat does not use; the card has asked already."""
        base = self._context.session.base
        if base and base.name == model.name:
            self._failed(AppError(f"{model.name} is in use.", "Make another model current first."))
            return
        self._context.tasks.run(
            self._context.library.remove, model.name, on_success=lambda _none: self._removed(model.name), on_failure=self._failed
        )

    def remove_adapter(self, entry: AdapterEntry) -> None:
        """Delete what a run has made; the run, its charts and its settings stay."""
        current = self._context.session.adapter
        if current and current.hash == entry.ref.hash:
            self._failed(AppError(f"{entry.ref.name} is in use.", "Make another model current first."))
            return
        self._context.tasks.run(
            _delete_adapter, entry, on_success=lambda _none: self._removed(entry.ref.name), on_failure=self._failed
        )

    def _removed(self, name: str) -> None:
        self._say("success", f"{name} was removed. Your feedback is untouched.", "success")
        self._context.session.modelsChanged.emit()
        self.refresh()

    def _say(self, icon: str, text: str, tone) -> None:
        self.notice.say(icon, text, tone)
        self.notice.show()


def _entry(run: RunFolder, info: AdapterInfo) -> AdapterEntry:
    start = run.config().start
    size = sum(file.stat().st_size for file in run.adapter.glob("*") if file.is_file())
    return AdapterEntry(
        info.ref, info.run_id, info.algorithm, start.hash if start else None, datetime.fromisoformat(info.created).timestamp(), size
    )


def _delete_adapter(entry: AdapterEntry) -> None:
    """Rename first: a half-deleted adapter must never look like a whole one."""
    folder = Path(entry.ref.path)
    if not folder.is_dir():
        raise NotFound(f"{entry.ref.name} is gone already.", "The list has been read again.")
    doomed = folder.with_name(".adapter.removed")
    folder.rename(doomed)
    shutil.rmtree(doomed)
