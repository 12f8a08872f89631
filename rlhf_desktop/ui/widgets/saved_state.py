"""What is kept is seen: a form knows whether there is something to save, says so in words, and loses nothing that was typed."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal, SignalInstance
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QSpinBox,
)

from rlhf_desktop.ui.widgets.text import Label

_TYPING_MS = 250  # what is typed is kept this soon after the last letter
UNSAVED, SAVED = "Not saved yet; kept as you left it.", "Saved just now."

Values = dict[str, Any]
Field = QLineEdit | QPlainTextEdit | QComboBox | QCheckBox | QSpinBox | QDoubleSpinBox  # what a form may consist of


class KeptForm(QObject):
    """The fields of a form against what is saved of them. The room keeps the draft; `words` and `button` show the state.

    Args:
        fields: By name; the names are those of the draft.
        button: What saves. It can be pressed exactly while there is something to save.
    """

    changed = Signal(bool)  # whether there is something to save
    draftChanged = Signal(object)  # what the fields say and nobody has saved, shortly after it was typed; None: nothing

    def __init__(self, fields: Mapping[str, Field], button: QPushButton | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._fields: dict[str, Field] = dict(fields)
        self._button, self._quiet = button, False
        self.words = Label("", "caption", "muted")
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(_TYPING_MS)
        self._typing.timeout.connect(self._tell)
        self._saved = self.values()
        for field in self._fields.values():
            _changes(field).connect(self._touched)
        self._show()

    @property
    def dirty(self) -> bool:
        """Whether there is something to save."""
        return self.values() != self._saved

    def values(self) -> Values:
        """What the fields say."""
        return {name: _value(field) for name, field in self._fields.items()}

    def rest(self, words: str = "") -> None:
        """What the fields say now is what is saved."""
        self._saved = self.values()
        self._typing.stop()
        self._show(words)

    def saved(self) -> None:
        """It has just been saved: no draft is left."""
        self.rest(SAVED)
        self.draftChanged.emit(None)

    def take_up(self, draft: Values | None) -> None:
        """Show what was left unsaved before."""
        self._put(draft or {})
        self._show()

    def discard(self) -> None:
        """Back to what is saved."""
        self._put(self._saved)
        self._show()
        self._tell()

    def settle(self) -> None:
        """Keep what was typed a moment ago: the form is left, or the window closed."""
        if self._typing.isActive():
            self._tell()

    def _put(self, values: Values) -> None:
        self._quiet = True  # one change, not one a field
        for name, value in values.items():
            if name in self._fields:
                _set(self._fields[name], value)
        self._quiet = False

    def _touched(self, *_ignored: object) -> None:
        if not self._quiet:
            self._show()
            self._typing.start()

    def _tell(self) -> None:
        self._typing.stop()
        self.draftChanged.emit(self.values() if self.dirty else None)

    def _show(self, words: str = "") -> None:
        dirty = self.dirty
        self.words.setText(UNSAVED if dirty else words)
        if self.words.parentWidget() is not None:  # without a place it would be a window
            self.words.setVisible(bool(self.words.text()))
        if self._button is not None:
            self._button.setEnabled(dirty)
        self.changed.emit(dirty)


def _changes(field: Field) -> SignalInstance:
    if isinstance(field, QLineEdit | QPlainTextEdit):
        return field.textChanged
    if isinstance(field, QCheckBox):
        return field.toggled
    return field.currentTextChanged if isinstance(field, QComboBox) else field.valueChanged


def _value(field: Field) -> str | bool | float:
    if isinstance(field, QPlainTextEdit):
        return field.toPlainText()
    if isinstance(field, QCheckBox):
        return field.isChecked()
    if isinstance(field, QSpinBox | QDoubleSpinBox):
        return field.value()
    return field.currentText() if isinstance(field, QComboBox) else field.text()


def _set(field: Field, value: Any) -> None:
    if isinstance(field, QPlainTextEdit):
        field.setPlainText(value)
    elif isinstance(field, QCheckBox):
        field.setChecked(value)
    elif isinstance(field, QSpinBox | QDoubleSpinBox):
        field.setValue(value)
    elif isinstance(field, QComboBox):
        field.setCurrentText(value)
    else:
        field.setText(value)
