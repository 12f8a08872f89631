"""A new project: its name, what it begins as, and in plain words what that means."""

from collections.abc import Callable

from PySide6.QtCore import Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QButtonGroup, QLineEdit, QRadioButton, QVBoxLayout, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.feedback.project_presets import OFFLINE, PROJECT_PRESETS, ProjectPreset
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Card, Notice, Page, clear, column, row
from rlhf_desktop.ui.widgets.text import Label, caption, heading, title

_NO_GUIDELINES = "None yet. Write yours in Label, under Guidelines."


class NewProjectPage(Page):
    """Name and preset at the left, what it means at the right."""

    made = Signal(str, object)  # the name and a ProjectPreset
    left = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(t.CONTENT_WIDTH, parent)
        self.setAccessibleName("New project")
        self._suggested = ""
        self._free_name: Callable[[str], str] = str
        self.body.addWidget(title("New project"))
        self.why = Label("", tone="muted", wrap=True)
        self.body.addWidget(self.why)
        across = row(spacing=t.SPACE_XL)
        across.addLayout(self._make_choice(), 2)
        across.addWidget(self._make_meaning(), 3)
        self.body.addLayout(across)
        self.body.addStretch(1)
        self._group.buttonClicked.connect(lambda _button: self._show_preset())
        self.name.returnPressed.connect(self._make)
        self.make.clicked.connect(self._make)
        self.cancel.clicked.connect(self.left)
        self._show_preset()

    def _make_choice(self) -> QVBoxLayout:
        box = column(spacing=t.SPACE_S)
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the project")
        self.trouble = Notice("alert", "", "danger")
        self.trouble.hide()
        for part in (Label("Name", strong=True), self.name, self.trouble, Label("Begin as", strong=True)):
            box.addWidget(part)
        self._group = QButtonGroup(self)
        self.presets: list[QRadioButton] = []
        for preset in PROJECT_PRESETS:
            choice = QRadioButton(preset.name)
            choice.setAccessibleName(preset.name)
            choice.setAccessibleDescription(preset.purpose)
            self._group.addButton(choice, len(self.presets))
            self.presets.append(choice)
            purpose = caption(preset.purpose, wrap=True)
            purpose.setIndent(t.SPACE_XL)
            box.addWidget(choice)
            box.addWidget(purpose)
        self.presets[0].setChecked(True)
        lower = row()
        self.make, self.cancel = Button("Create project", "primary"), Button("Cancel", "quiet")
        lower.addWidget(self.make)
        lower.addWidget(self.cancel)
        lower.addStretch(1)
        box.addSpacing(t.SPACE_S)
        box.addLayout(lower)
        box.addStretch(1)
        return box

    def _make_meaning(self) -> Card:
        card = Card("What you will be asked")
        self._asked = column(spacing=t.SPACE_XS)
        card.body.addLayout(self._asked)
        card.body.addSpacing(t.SPACE_S)
        card.body.addWidget(heading("Guidelines to judge by"))
        self.guidelines = Label("", tone="muted", wrap=True)
        card.body.addWidget(self.guidelines)
        card.body.addSpacing(t.SPACE_S)
        card.body.addWidget(Label(OFFLINE, "caption", "success", wrap=True))
        card.body.addWidget(caption("All of this can be changed at any time, in Label.", wrap=True))
        card.body.addStretch(1)
        return card

    @property
    def preset(self) -> ProjectPreset:
        """The one chosen."""
        return PROJECT_PRESETS[self._group.checkedId()]

    def focus_place(self) -> QWidget:
        """The name."""
        return self.name

    def begin(self, free_name: Callable[[str], str], why: str = "") -> None:
        """Start afresh.

        Args:
            free_name: Makes of a name one that is not taken.
            why: What led here.
        """
        self._free_name = free_name
        self.why.setText(why)
        self.why.setVisible(bool(why))
        self.trouble.hide()
        self.presets[0].setChecked(True)
        self.name.clear()
        self._show_preset()
        self.set_working(False)

    def take_focus(self) -> None:
        """To the name, which is a suggestion: typing replaces it."""
        self.name.setFocus()
        self.name.selectAll()

    def set_working(self, on: bool) -> None:
        """While the project is made nothing can be pressed twice."""
        self.make.setEnabled(not on)

    def show_trouble(self, trouble: AppError) -> None:
        """Say what is wrong with the name."""
        self.set_working(False)
        self.trouble.say("alert", str(trouble), "danger")
        self.trouble.show()
        self.take_focus()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc goes back to the room."""
        if keymap.heard(event, "projects") == "leave":
            self.left.emit()
        else:
            super().keyPressEvent(event)

    def _show_preset(self) -> None:
        preset = self.preset
        if self.name.text() == self._suggested or not self.name.text():
            self._suggested = "" if preset.key == "blank" else self._free_name(preset.name)
            self.name.setText(self._suggested)
        self.name.setPlaceholderText("For instance: Ward round")
        clear(self._asked)
        for line in preset.asked:
            self._asked.addWidget(Label(f"•  {line}", wrap=True))
        lines = preset.guidelines.strip().splitlines()
        self.guidelines.setText("\n".join(line for line in lines[1:] if line.strip()) if lines else _NO_GUIDELINES)

    def _make(self) -> None:
        if self.make.isEnabled():
            self.trouble.hide()
            self.set_working(True)
            self.made.emit(self.name.text(), self.preset)
