"""The panels under a model: export it to files, publish it on the Hub, keep notes. In place; nothing modal."""

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QFileDialog, QLineEdit, QPlainTextEdit, QWidget

from rlhf_desktop.core.offline import NetworkRule
from rlhf_desktop.hub.cards import Statement, licence_choices
from rlhf_desktop.hub.push import PushPlan
from rlhf_desktop.operations.exporting import FORMATS
from rlhf_desktop.ui import words
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.fields import Form, choice
from rlhf_desktop.ui.widgets.surfaces import Card, Notice, row
from rlhf_desktop.ui.widgets.text import Label, caption

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
        self.place = _line("Folder to make", str(Path.home()))
        choose = Button("Choose…", icon="folder")
        choose.setAccessibleName("Choose where the folder is made")
        choose.clicked.connect(self._choose)
        where = row()
        where.addWidget(self.place, 1)
        where.addWidget(choose)
        form = Form()
        form.add("Format", self.formats)
        form.addRow("", self._words)
        form.add("New folder", _holder(where))
        self.body.addLayout(form)
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
    published = Signal()
    tokenGiven = Signal(str)
    closed = Signal()

    def __init__(self, name: str, rule: NetworkRule, has_token: bool, parent: QWidget | None = None) -> None:
        super().__init__(f"Publish {name} on the Hub", parent=parent)
        self.repo = _line("Repository", "", "owner/name")
        self.licence = choice("Licence")
        self.licence.setEditable(True)
        self.licence.addItems(["", *licence_choices()])
        self.use = _text("Intended use", "What it is for, in a sentence or two")
        self.limits = _text("Limits", "What it is not for, and where it fails")
        self.tag = _line("Version tag", "", "optional, for example v1")
        self.public = QCheckBox("Everybody may read it")
        self.public.setAccessibleName("Everybody may read it; otherwise only your account can")
        self.token = _line("Your Hub token", "", "needs write permission; kept in this system's keyring, never in a file")
        self.token.setEchoMode(QLineEdit.EchoMode.Password)
        form = Form()
        for label, field in (
            ("Repository", self.repo), ("Licence", self.licence), ("Intended use", self.use), ("Limits", self.limits),
            ("Version tag", self.tag), ("", self.public),
        ):  # fmt: skip
            form.add(label, field)
        if not has_token:
            form.add("Your Hub token", self.token)
        self.body.addLayout(form)
        self.files = Label("", "caption", wrap=True)
        self.card = QPlainTextEdit()
        self.card.setReadOnly(True)
        self.card.setAccessibleName("The card that goes with it")
        self.card.setMinimumHeight(t.CHART_HEIGHT)
        for part in (self.files, self.card):
            part.hide()
            self.body.addWidget(part)
        self.note = Notice("wifi-off", f"Offline is on. {rule.why}", "muted")
        self.note.setVisible(rule.offline)
        self.body.addWidget(self.note)
        self.preview = Button("Show exactly what would be sent", "primary", icon="search")
        self.send = Button("Publish", "primary", icon="upload")
        self.send.hide()
        self.send.setEnabled(not rule.offline)
        self.preview.clicked.connect(self.previewed)
        self.send.clicked.connect(self._send)
        across = _ends(self.preview, self.closed)
        across.insertWidget(1, self.send)
        self.body.addLayout(across)

    def _send(self) -> None:
        if self.token.text().strip():
            self.tokenGiven.emit(self.token.text().strip())
            self.token.clear()
        self.published.emit()

    def statement(self) -> Statement:
        """What the user says about it."""
        return Statement(self.licence.currentText().strip(), "", self.use.toPlainText().strip(), self.limits.toPlainText().strip())

    def show_plan(self, plan: PushPlan) -> None:
        """Exactly what would go; now it may."""
        lines = [f"{file.path}  ·  {words.size(file.size)}" for file in plan.files]
        who = "only your account can read it" if plan.private else "everybody can read it"
        self.files.setText(f"To {plan.repo}; {who}:\n" + "\n".join(lines))
        self.card.setPlainText(plan.card)
        for part in (self.files, self.card, self.send):
            part.show()
        self.preview.set_kind("normal")
        self.preview.set_text("Show again")

    def set_busy(self, busy: bool) -> None:
        """One thing at a time."""
        self.preview.setEnabled(not busy)
        self.send.setEnabled(not busy)


class NotesRow(QWidget):
    """A line of the user's own words about a model."""

    kept = Signal(str)

    def __init__(self, name: str, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        across = row(self, 0, t.SPACE_S)
        self.line = _line(f"Notes on {name}", text, "Your notes: what it is good at, where it fails")
        self.line.setMaxLength(500)
        self.line.editingFinished.connect(lambda: self.kept.emit(self.line.text().strip()))
        across.addWidget(self.line, 1)


def _line(name: str, text: str, placeholder: str = "") -> QLineEdit:
    field = QLineEdit(text)
    field.setAccessibleName(name)
    field.setPlaceholderText(placeholder)
    return field


def _text(name: str, placeholder: str) -> QPlainTextEdit:
    field = QPlainTextEdit()
    field.setAccessibleName(name)
    field.setPlaceholderText(placeholder)
    field.setTabChangesFocus(True)
    field.setFixedHeight(t.CONTROL_HEIGHT * 2)
    return field


def _holder(layout) -> QWidget:
    made = QWidget()
    layout.setContentsMargins(0, 0, 0, 0)
    made.setLayout(layout)
    return made


def _ends(primary: Button, closed):
    across = row()
    across.addWidget(primary)
    across.addStretch(1)
    close = Button("Close", "quiet")
    close.clicked.connect(closed)
    across.addWidget(close)
    return across
