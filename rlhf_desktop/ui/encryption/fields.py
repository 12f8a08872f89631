"""A field for a passphrase, shown or hidden, and two of them for a new one, with what is to be known of it."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QLineEdit, QWidget

from rlhf_desktop.core.encryption import LEAST_CHARS
from rlhf_desktop.operations.passphrases import strength
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import IconButton
from rlhf_desktop.ui.widgets.surfaces import column, row
from rlhf_desktop.ui.widgets.text import caption

_HIDDEN, _SHOWN = QLineEdit.EchoMode.Password, QLineEdit.EchoMode.Normal
FORGOTTEN = "I know that nobody can read this workspace any more if the passphrase is forgotten"
ADVICE = (
    "Four or five words that do not belong together are easy to remember and hard to guess. There is no way back without "
    "it: no reset, no master key, nobody to ask. Write it down and keep it where you keep what matters."
)


class PassphraseField(QWidget):
    """One line; its button shows what was typed, until it is pressed again or the field is cleared."""

    submitted = Signal()
    edited = Signal()

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.edit = QLineEdit()
        self.edit.setAccessibleName(name)
        self.edit.setPlaceholderText(name)
        self.edit.setEchoMode(_HIDDEN)
        self.edit.setInputMethodHints(Qt.InputMethodHint.ImhSensitiveData | Qt.InputMethodHint.ImhNoPredictiveText)
        self.show_button = IconButton("eye", f"Show: {name}", size=t.ICON_SMALL)
        self.show_button.setCheckable(True)
        across = row(self, 0, t.SPACE_XS)
        across.addWidget(self.edit, 1)
        across.addWidget(self.show_button)
        self.setFocusProxy(self.edit)
        self.show_button.toggled.connect(self._show)
        self.edit.returnPressed.connect(self.submitted)
        self.edit.textChanged.connect(lambda _text: self.edited.emit())

    def text(self) -> str:
        """What was typed."""
        return self.edit.text()

    def clear(self) -> None:
        """Forget it, and hide what comes next. What was typed cannot be brought back by undo."""
        self.edit.setText("")
        self.show_button.setChecked(False)

    def _show(self, on: bool) -> None:
        self.edit.setEchoMode(_SHOWN if on else _HIDDEN)
        self.show_button.set_icon("eye-off" if on else "eye")
        name = self.edit.accessibleName()
        self.show_button.setAccessibleName(f"{'Hide' if on else 'Show'}: {name}")
        self.show_button.setToolTip("Hide" if on else "Show")


class NewPassphrase(QWidget):
    """A new passphrase, twice, with its strength in words.

    Args:
        said: What is to be known of it.
        acknowledged: Have it confirmed that it cannot be recovered.
    """

    changed = Signal()
    submitted = Signal()

    def __init__(self, said: str = ADVICE, *, acknowledged: bool = True, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._acknowledged = acknowledged
        down = column(self, 0, t.SPACE_S)
        self.first, self.again = PassphraseField("New passphrase"), PassphraseField("The same once more")
        self.strength = caption("", wrap=True)
        self.same = caption("", wrap=True)
        self.known = QCheckBox(FORGOTTEN)
        self.known.setAccessibleName(FORGOTTEN)
        for part in (caption(said, wrap=True), self.first, self.strength, self.again, self.same, self.known):
            down.addWidget(part)
        self.known.setVisible(acknowledged)
        for field in (self.first, self.again):
            field.edited.connect(self._look)
            field.submitted.connect(self.submitted)
        self.known.toggled.connect(lambda _on: self.changed.emit())
        self._look()

    @property
    def ready(self) -> bool:
        """Whether it can be used."""
        typed = self.first.text()
        known = self.known.isChecked() or not self._acknowledged
        return len(typed) >= LEAST_CHARS and typed == self.again.text() and known

    def text(self) -> str:
        """The passphrase."""
        return self.first.text()

    def clear(self) -> None:
        """Forget what was typed."""
        for field in (self.first, self.again):
            field.clear()
        self.known.setChecked(False)

    def _look(self) -> None:
        typed, again = self.first.text(), self.again.text()
        said = strength(typed) if typed else None
        self.strength.setText(said.words if said else "")
        self.strength.set_tone("warning" if said and said.weak else "muted")
        self.strength.setVisible(bool(typed))
        self.same.setText("The two are the same." if typed == again else "The two are not the same.")
        self.same.set_tone("muted" if typed == again else "warning")
        self.same.setVisible(bool(again))
        self.changed.emit()
