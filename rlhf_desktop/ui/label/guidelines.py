"""The guidelines beside the task: what the project means by a good answer. Every change is a new version, kept for good."""

from datetime import datetime

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from rlhf_desktop.store.guidelines import Guideline
from rlhf_desktop.ui import words
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.judging.writing import WritingPane
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, IconButton
from rlhf_desktop.ui.widgets.fields import choice
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.saved_state import KeptForm, Values
from rlhf_desktop.ui.widgets.surfaces import column, row
from rlhf_desktop.ui.widgets.text import caption


class GuidelinePanel(QFrame):
    """Shows one version, the newest first; edits in place."""

    saved = Signal(str)
    folded = Signal()
    drafted = Signal(object)  # what is written and not saved, by field; None: nothing
    left = Signal()  # editing has ended

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("kind", "aside")
        self.setAccessibleName("Guidelines")
        self.setFixedWidth(t.SIDEBAR_WIDTH + t.SPACE_XXL)
        self._versions: list[Guideline] = []
        self._draft: Values | None = None
        self._writing: WritingPane | None = None
        box = column(self, t.SPACE_M, t.SPACE_S)
        head = row(spacing=t.SPACE_XS)
        head.addWidget(TermLabel("Guidelines", strong=True), 1)
        self.edit = IconButton("edit", "Edit the guidelines", size=t.ICON_SMALL)
        fold = IconButton("chevron-right", "Fold the guidelines", size=t.ICON_SMALL)
        fold.setToolTip(keymap.tip("Fold the guidelines", "fold guidelines"))
        head.addWidget(self.edit)
        head.addWidget(fold)
        box.addLayout(head)
        self.version = choice("Version of the guidelines")
        self.version.hide()
        box.addWidget(self.version)
        self._facts = caption("", wrap=True)
        box.addWidget(self._facts)
        box.addWidget(self._make_text(), 1)
        self.edit.clicked.connect(self.start_writing)
        fold.clicked.connect(self.folded)
        self.version.currentIndexChanged.connect(self._show)

    def _make_text(self) -> QScrollArea:
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setAccessibleName("The guidelines' text")
        inner = QWidget()
        inner.setProperty("kind", "plain")
        self._place = column(inner, 0, t.SPACE_S)
        self.text = MarkdownView(name="Guidelines")
        self.begin = Button("Write guidelines", "normal", icon="edit")
        self.begin.clicked.connect(self.start_writing)
        self._place.addWidget(self.text)
        self._place.addWidget(self.begin)
        self._place.addStretch(1)
        area.setWidget(inner)
        return area

    def show_versions(self, versions: list[Guideline], draft: Values | None = None) -> None:
        """Show the newest of these versions, which come newest first; `draft`: what was written and not saved before."""
        self._versions, self._draft = versions, draft
        self.version.blockSignals(True)
        self.version.clear()
        for guideline in versions:
            when = words.moment(datetime.fromisoformat(guideline.created_at).timestamp())
            self.version.addItem(f"Version {guideline.version} · {when}")
        self.version.blockSignals(False)
        self.version.setVisible(len(versions) > 1)
        self.begin.setVisible(not versions)
        self.edit.setVisible(bool(versions))
        self._show_draft()
        self.text.setVisible(bool(versions) and self._writing is None)
        self._show(0)

    def _show(self, place: int) -> None:
        if not 0 <= place < len(self._versions):
            self.text.set_text("")
            self._facts.setText(
                "What makes an answer good here? Written down, it stays the same from day to day and from person to person."
            )
            return
        shown = self._versions[place]
        newest = "" if place == 0 else "  ·  an older version"
        self._facts.setText(f"Version {shown.version}, by {shown.who}{newest}")
        self.text.set_text(shown.text)

    def start_writing(self) -> None:
        """A field in the place of the text."""
        if self._writing is None:
            text = self._versions[0].text if self._versions else ""
            self._writing = WritingPane("Guidelines", text, "Save version", leave="Close")  # what was begun is kept
            self._form = KeptForm({"text": self._writing.edit}, parent=self._writing)
            self._form.take_up(self._draft)
            self._form.draftChanged.connect(self._keep_draft)
            self._writing.add(self._form.words)
            self._form.words.setWordWrap(True)
            self._writing.kept.connect(self._keep)
            self._writing.left.connect(self._stop)
            self._place.insertWidget(0, self._writing)
            self.text.hide()
            self.begin.hide()
        self._writing.edit.setFocus()

    def _keep(self, text: str) -> None:
        said = text.strip()
        if said:
            self._form.saved()
        self._stop()
        if said:
            self.saved.emit(said)

    def _keep_draft(self, values: Values | None) -> None:
        self._draft = values
        self.drafted.emit(values)

    def _show_draft(self) -> None:
        """What was left unsaved is not forgotten."""
        begun = self._draft is not None
        self.edit.set_name("Go on with the guidelines you began" if begun else "Edit the guidelines")
        self.begin.set_text("Go on with what you began" if begun else "Write guidelines")

    def forget(self) -> None:
        """Another project: what is written here is not for it, and is kept in its own."""
        if self._writing is not None:
            self._form.rest()
            self._stop()

    def settle(self) -> None:
        """Keep what was typed a moment ago."""
        if self._writing is not None:
            self._form.settle()

    def _stop(self) -> None:
        if self._writing is not None:
            self._form.settle()
            self._show_draft()
            self._writing.hide()
            self._writing.deleteLater()
            self._writing = None
            self.text.setVisible(bool(self._versions))
            self.begin.setVisible(not self._versions)
            self.left.emit()
