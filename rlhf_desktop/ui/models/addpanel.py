"""“Add a model”: the starter, a folder, a GGUF file, or a search on the Hub that says size, licence and whether it fits."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QApplication, QHBoxLayout, QLineEdit, QWidget

from rlhf_desktop.core.offline import NetworkRule
from rlhf_desktop.hub.fetching import Transfer
from rlhf_desktop.hub.remote import RemoteModel
from rlhf_desktop.ui import words
from rlhf_desktop.ui.help.termlabel import TermLabel, term_caption
from rlhf_desktop.ui.loading import Loading
from rlhf_desktop.ui.models.hubresult import HubResult
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Card, Meter, Notice, clear, column, row, widgets_in
from rlhf_desktop.ui.widgets.text import caption


class AddPanel(Card):
    """Says what was asked for; the room does it."""

    starterAsked = Signal()
    folderAsked = Signal()
    fileAsked = Signal()
    searched = Signal(str)
    pullAsked = Signal(object)  # Wanted
    versionsAsked = Signal(object)  # HubResult
    stopAsked = Signal()
    settingsAsked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Add a model", parent=parent)
        self._left: tuple[QWidget, QWidget | None] | None = None  # the button that went grey, and where Qt put the keys then
        self.body.addWidget(term_caption("Only weights that cannot run code are accepted: safetensors and GGUF.", wrap=True))
        self.body.addLayout(self._buttons())
        self.body.addLayout(self._search_row())
        self.note = Notice("info", "", button="Settings")
        self.note.acted.connect(self.settingsAsked)
        self.note.hide()
        self.body.addWidget(self.note)
        self.meter = Meter("Download")
        self.stop = Button("Stop the download", "quiet", icon="stop")
        self.stop.clicked.connect(self.stopAsked)
        line = row(spacing=t.SPACE_M)
        line.setContentsMargins(0, t.SPACE_S, 0, 0)
        line.addWidget(self.meter, 1)
        line.addWidget(self.stop, 0, Qt.AlignmentFlag.AlignTop)
        self.body.addLayout(line)
        self._results = column(spacing=t.SPACE_M)
        self.body.addLayout(self._results)
        self.show_transfer(None)

    def _buttons(self) -> QHBoxLayout:
        across = row()
        self.starter = Button("Starter model", icon="spark")
        self.folder = Button("A folder…", icon="folder")
        self.file = Button("A GGUF file…", icon="file")
        self.starter.setToolTip("Small, made for trying things out; already on this computer")
        self.folder.setAccessibleName("Add a folder")
        self.file.setAccessibleName("Add a GGUF file")
        for button, signal in ((self.starter, self.starterAsked), (self.folder, self.folderAsked), (self.file, self.fileAsked)):
            button.clicked.connect(signal)
            across.addWidget(button)
        across.addStretch(1)
        return across

    def _search_row(self) -> QHBoxLayout:
        across = row()
        self.query = QLineEdit()
        self.query.setAccessibleName("Search the Hugging Face Hub")
        self.query.setPlaceholderText("Search the Hugging Face Hub, for example Qwen2.5-1.5B-Instruct")
        self.query.setClearButtonEnabled(True)
        for button in self.query.findChildren(QWidget):
            button.setAccessibleName("Clear search")
        self.search = Button("Search", icon="search")
        self.query.returnPressed.connect(self._ask)
        self.search.clicked.connect(self._ask)
        self.query.setToolTip("A full name (owner/name) finds adapters and reward models too")
        across.addWidget(self.query, 1)
        across.addWidget(self.search)
        return across

    def _ask(self) -> None:
        if self.query.text().strip() and self.search.isEnabled():
            self.searched.emit(self.query.text().strip())

    def show_network(self, rule: NetworkRule) -> None:
        """Searching needs the network; say who forbids it."""
        self.query.setEnabled(not rule.offline)
        self.search.setEnabled(not rule.offline)
        if rule.offline:
            clear(self._results)  # none of it can be fetched now
            self.note.say(
                "wifi-off", f"Offline is on, so the Hub cannot be searched. {rule.why}", "muted", "" if rule.locked else "Settings"
            )
        self.note.setVisible(rule.offline)

    def show_searching(self) -> None:
        """A search is under way."""
        clear(self._results)
        self._results.addWidget(caption("Searching…"))

    def show_results(
        self, found: Sequence[RemoteModel], memory_bytes: float | None, text: str, here: frozenset[str] = frozenset()
    ) -> None:
        """What the Hub has; of it, `here` is in the library."""
        clear(self._results)
        if not found:
            self._results.addWidget(caption(f"Nothing on the Hub is called like “{text}”."))
        for model in found:
            line = HubResult(model, memory_bytes)
            line.chosen.connect(self.pullAsked)
            line.versionsAsked.connect(lambda line=line: self.versionsAsked.emit(line))
            self._results.addWidget(line)
        self.show_here(here)

    def show_here(self, here: frozenset[str]) -> None:
        """Say of each repository found whether it is in the library."""
        for line in self.results():
            line.set_here(line.model.repo in here)

    def show_failed(self, text: str) -> None:
        """A search that failed."""
        clear(self._results)
        self._results.addWidget(TermLabel(text, tone="danger", wrap=True))

    def results(self) -> list[HubResult]:
        """The lines shown."""
        return widgets_in(self._results, HubResult)

    def show_transfer(self, transfer: Transfer | None, left: str = "") -> None:
        """How far a download is; None hides it."""
        self.meter.setVisible(transfer is not None)
        self.stop.setVisible(transfer is not None)
        if transfer is not None:
            done, total = words.size(transfer.done_bytes), words.size(transfer.total_bytes)
            self.meter.set_value(transfer.done_bytes, transfer.total_bytes, f"{transfer.file}: {done} of {total}{left}")

    def show_loading(self, loading: Loading | None) -> None:
        """How far a conversion is, which cannot be stopped; None hides it."""
        self.meter.setVisible(loading is not None)
        if loading is not None:
            self.meter.set_value(loading.fraction or 0.0, 0.0 if loading.fraction is None else 1.0, loading.words)

    def set_busy(self, busy: bool) -> None:
        """One thing at a time. Whoever has not moved on meanwhile finds the keys where they were."""
        had = QApplication.focusWidget()
        for button in (self.starter, self.folder, self.file):
            button.setEnabled(not busy)
        for line in self.results():
            line.set_busy(busy)
        if busy and had is not None and had in self._greyed():
            self._left = (had, QApplication.focusWidget())
        elif not busy and self._left:
            grey, went = self._left
            self._left = None
            if had is went and grey in self._greyed():
                grey.setFocus(Qt.FocusReason.PopupFocusReason)  # given back: whoever went there has gone nowhere else

    def _greyed(self) -> list[QWidget]:
        return [self.starter, self.folder, self.file, *(button for line in self.results() for button in line.buttons)]
