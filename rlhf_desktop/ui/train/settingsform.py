"""A form made from an algorithm's settings: name, field, unit and help come from `core.recipes`, and nowhere else."""

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QLineEdit, QWidget

from rlhf_desktop.core.recipes import Algorithm, Setting, describe
from rlhf_desktop.operations.plain_words import setting_label
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.train import plan
from rlhf_desktop.ui.widgets.fields import choice
from rlhf_desktop.ui.widgets.surfaces import column
from rlhf_desktop.ui.widgets.text import caption

_COLUMNS = 3


class SettingField(QWidget):
    """One setting: its plain name, a field, and its help, which becomes the trouble when the value does not work."""

    edited = Signal()

    def __init__(self, algorithm: Algorithm, setting: Setting, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._algorithm, self.setting = algorithm, setting
        box = column(self, 0, t.SPACE_XS)
        name = setting_label(setting.name)
        self.field: QComboBox | QLineEdit = _choice(setting) if setting.choices else QLineEdit()
        self.field.setAccessibleName(name)
        self.field.setAccessibleDescription(f"{setting.help} {plan.bounds_hint(setting)}".strip())
        self.field.setToolTip(f"{setting.name}: {plan.bounds_hint(setting)}")
        label = TermLabel(name, strong=True)
        label.setBuddy(self.field)
        self._help = caption(setting.help, wrap=True)
        for part in (label, self.field, self._help):
            box.addWidget(part)
        box.addStretch(1)
        changed = self.field.currentTextChanged if isinstance(self.field, QComboBox) else self.field.textChanged
        changed.connect(self._check)

    def text(self) -> str:
        """What the field says."""
        return self.field.currentText() if isinstance(self.field, QComboBox) else self.field.text().strip()

    def set_value(self, value: Any) -> None:
        """Show a value."""
        if isinstance(self.field, QComboBox):
            self.field.setCurrentText(str(value))
        else:
            self.field.setText(f"{value:g}" if isinstance(value, float) else str(value))

    def problem(self) -> str:
        """What is wrong with it; empty when nothing is."""
        return plan.setting_problem(self._algorithm, self.setting.name, self.text())

    def _check(self) -> None:
        problem = self.problem()
        self._help.setText(problem or self.setting.help)
        self._help.set_tone("danger" if problem else "muted")
        self.edited.emit()


class SettingsForm(QWidget):
    """All settings of one algorithm."""

    edited = Signal()

    def __init__(self, algorithm: Algorithm, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(t.SPACE_XL)
        grid.setVerticalSpacing(t.SPACE_L)
        self.fields = {s.name: SettingField(algorithm, s) for s in describe(algorithm)}
        for place, field in enumerate(self.fields.values()):
            grid.addWidget(field, place // _COLUMNS, place % _COLUMNS)
            grid.setColumnStretch(place % _COLUMNS, 1)
            field.edited.connect(self.edited)

    def values(self) -> dict[str, str]:
        """What the fields say, as texts; `core.recipes.make_settings` converts them."""
        return {name: field.text() for name, field in self.fields.items()}

    def set_values(self, values: dict[str, Any]) -> None:
        """Show these values."""
        for name, value in values.items():
            self.fields[name].set_value(value)

    def valid(self) -> bool:
        """Every value is within its bounds."""
        return not any(field.problem() for field in self.fields.values())


def _choice(setting: Setting) -> QComboBox:
    made = choice(setting_label(setting.name))
    made.addItems(setting.choices)
    return made
