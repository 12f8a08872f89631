"""The panels under a model: export it to files, publish it on the Hub, keep notes. In place; nothing modal."""

from pathlib import Path

from PySide6.QtCore import Qt, Signal, SignalInstance
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLayout, QWidget

from rlhf_desktop.core.offline import NetworkRule
from rlhf_desktop.hub.push import PushPlan
from rlhf_desktop.operations.exporting import FORMATS
from rlhf_desktop.ui.models.datawork import Reached
from rlhf_desktop.ui.models.planview import PlanView
from rlhf_desktop.ui.models.publishform import PublishForm, line_field
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.fields import Form, choice
from rlhf_desktop.ui.widgets.saved_state import KeptForm
from rlhf_desktop.ui.widgets.surfaces import Card, Meter, Notice, row
from rlhf_desktop.ui.widgets.text import caption

_FORMAT_TITLES = {"peft": "Adapter (PEFT)", "merged": "Whole model", "gguf": "GGUF", "gguf-lora": "GGUF adapter"}


class ExportPanel(Card):
    """Which format, and where to."""

    exported = Signal(str, object)  # format, folder
    closed = Signal()

    def __init__(self, name: str, kind: str = "policy", parent: QWidget | None = None) -> None:
        super().__init__(f"Export {name}", parent=parent)
        self._name = name
        self.formats = choice("Format")
        for form, title in _FORMAT_TITLES.items():
            if kind == "policy" or form == "peft":
                self.formats.addItem(title, form)
        self._words = caption("", wrap=True)
        self.place = line_field("Folder to make", str(Path.home()))
        choose = Button("Choose…", icon="folder")
        choose.setAccessibleName("Choose where the folder is made")
        choose.clicked.connect(self._choose)
        where = row()
        where.addWidget(self.place, 1)
        where.addWidget(choose)
        lines = Form()
        lines.add("Format", self.formats)
        lines.addRow("", self._words)
        lines.add("New folder", _holder(where))
        self.body.addLayout(lines)
        self.begin = Button("Export", "primary", icon="upload")
        self.begin.clicked.connect(lambda: self.exported.emit(self.formats.currentData(), Path(self.place.text()).expanduser()))
        self.body.addLayout(_ends(self.begin, self.closed))
        self.formats.currentIndexChanged.connect(self._format_changed)
        self._format_changed()

    def _format_changed(self) -> None:
        form = self.formats.currentData()
        self._words.setText(f"{FORMATS[form][0].upper()}{FORMATS[form][1:]}.")
        folder = Path(self.place.text()).expanduser()
        parent = folder if folder.is_dir() else folder.parent
        self.place.setText(str(parent / f"{self._name}-{form}".replace(" ", "-").replace("/", "-")))

    def _choose(self) -> None:
        dialog = QFileDialog(self, "Where should the folder be made?")
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self._placed)
        dialog.open()

    def _placed(self, folder: str) -> None:
        self.place.setText(str(Path(folder) / f"{self._name}-{self.formats.currentData()}".replace(" ", "-").replace("/", "-")))


class PublishPanel(Card):
    """Where to, under which licence, who may read it; then exactly what goes, and only then Publish."""

    previewed = Signal()
    published = Signal(str)  # a Hub token that was typed, or ""
    stopAsked = Signal()
    closed = Signal()

    def __init__(self, name: str, rule: NetworkRule, has_token: bool, parent: QWidget | None = None) -> None:
        super().__init__(f"Publish {name} on the Hub", parent=parent)
        self.generation = 0  # of what is filled in
        self.form = PublishForm(has_token)
        self.body.addWidget(self.form)
        self.files = PlanView()
        self.files.hide()
        self.body.addWidget(self.files)
        self.meter = Meter("Publishing")
        self.stop = Button("Stop", "quiet", icon="stop")
        self.stop.clicked.connect(self.stopAsked)
        line = row(spacing=t.SPACE_M)
        line.addWidget(self.meter, 1)
        line.addWidget(self.stop, 0, Qt.AlignmentFlag.AlignTop)
        self.body.addLayout(line)
        self.show_progress(None)
        self.note = Notice("wifi-off", f"Offline is on. {rule.why}", "muted")
        self.note.setVisible(rule.offline)
        self.body.addWidget(self.note)
        self.preview = Button("Show exactly what would be sent", "primary", icon="search")
        self.send = Button("Publish", "primary", icon="upload")
        self.send.hide()
        self.send.setEnabled(not rule.offline)
        self.preview.clicked.connect(self.previewed)
        self.send.clicked.connect(self._send)
        self.form.changed.connect(self._changed)
        across = _ends(self.preview, self.closed)
        across.insertWidget(1, self.send)
        self.body.addLayout(across)

    def _send(self) -> None:
        self.published.emit(self.form.take_token())

    def _changed(self) -> None:
        """What was shown is not what would be sent now."""
        self.generation += 1
        self.files.hide()
        self.send.hide()
        self.preview.set_kind("primary")
        self.preview.set_text("Show exactly what would be sent")

    def show_progress(self, reached: Reached | None) -> None:
        """How far it is; None hides it."""
        self.meter.setVisible(reached is not None)
        self.stop.setVisible(reached is not None)
        if reached is not None:
            self.meter.set_value(reached.done, reached.total, reached.words)

    def show_plan(self, plan: PushPlan) -> None:
        """Exactly what would go; now it may."""
        self.files.show_plan(plan)
        self.files.show()
        self.send.show()
        self.preview.set_kind("normal")
        self.preview.set_text("Show again")

    def set_busy(self, busy: bool) -> None:
        """One thing at a time."""
        self.form.setEnabled(not busy)
        self.preview.setEnabled(not busy)
        self.send.setEnabled(not busy)


class NotesRow(QWidget):
    """A line of the user's own words about a model."""

    kept = Signal(str)

    def __init__(self, name: str, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        across = row(self, 0, t.SPACE_S)
        self.line = line_field(f"Notes on {name}", text, "Your notes: what it is good at, where it fails")
        self.line.setMaxLength(500)
        self._form = KeptForm({"notes": self.line}, parent=self)
        self.line.editingFinished.connect(self._leave)
        across.addWidget(self.line, 1)
        across.addWidget(self._form.words)

    def settle(self) -> None:
        """Keep what was typed: the room is left."""
        if self._form.dirty:
            self._leave()

    def _leave(self) -> None:
        self._form.rest()
        self.kept.emit(self.line.text().strip())


def _holder(layout: QLayout) -> QWidget:
    made = QWidget()
    layout.setContentsMargins(0, 0, 0, 0)
    made.setLayout(layout)
    return made


def _ends(primary: Button, closed: SignalInstance) -> QHBoxLayout:
    across = row()
    across.addWidget(primary)
    across.addStretch(1)
    close = Button("Close", "quiet")
    close.clicked.connect(closed)
    across.addWidget(close)
    return across


class PublishingCard(Card):
    """What publishing the comparisons is, and the button that begins it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("What you have judged, for others to train from", parent=parent)
        across = row(spacing=t.SPACE_M)
        said = (
            "The project's comparisons as a dataset on the Hub: private unless you say otherwise, "
            "after a look for names, addresses and numbers that tell who somebody is."
        )
        across.addWidget(caption(said, wrap=True), 1)
        self.begin = Button("Publish comparisons…", icon="upload")
        across.addWidget(self.begin)
        self.body.addLayout(across)
