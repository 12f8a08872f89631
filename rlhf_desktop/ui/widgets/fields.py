"""Fields and the labels beside them."""

from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QAbstractSpinBox, QComboBox, QDoubleSpinBox, QFormLayout, QLayout, QLineEdit, QSpinBox, QWidget

from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t

_MOST_ROWS = 12  # of a drop-down list; more are scrolled


class _Unwheeled:
    """The wheel scrolls the page past a field, and neither changes it nor takes the focus there."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave it to the page."""
        event.ignore()


class Choice(_Unwheeled, QComboBox):
    """A drop-down list of whole entries: none is cut in half, no text ends in …, and it stays on the screen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMaxVisibleItems(_MOST_ROWS)
        self.view().setTextElideMode(Qt.TextElideMode.ElideNone)

    def showPopup(self) -> None:
        """Drop down: as wide as the longest entry, as tall as whole entries have room."""
        super().showPopup()
        popup, view, screen = self.view().window(), self.view(), self.screen().availableGeometry()
        around = QSize(popup.width() - view.viewport().width(), popup.height() - view.viewport().height())
        row = view.sizeHintForRow(0)
        wanted = max(popup.width(), view.sizeHintForColumn(0) + around.width())
        rows = max(1, min(self.count(), self.maxVisibleItems(), (popup.height() - around.height()) // max(1, row)))
        size = QSize(min(wanted, screen.width()), rows * row + around.height())
        place = QRect(popup.geometry().topLeft(), size)
        if place.top() < self.mapToGlobal(QPoint(0, 0)).y():  # it opens upwards: what is taken off is taken off above
            place.moveBottom(popup.geometry().bottom())
        place.moveRight(min(place.right(), screen.right()))
        popup.setGeometry(place)


def choice(name: str) -> Choice:
    """An empty drop-down list."""
    made = Choice()
    made.setAccessibleName(name)
    made.view().setAccessibleName(name)
    return made


def writable(field: QComboBox, name: str, hint: str = "") -> None:
    """Let something be typed that the list does not offer."""
    field.setEditable(True)
    for line in field.findChildren(QLineEdit):
        line.setAccessibleName(name)
        line.setPlaceholderText(hint)


class NumberField(_Unwheeled, QSpinBox):
    """A whole number."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)


class DecimalField(_Unwheeled, QDoubleSpinBox):
    """A number with decimals. Shown as the user's country writes it; a point and a comma are both taken when it is typed.

    Qt alone drops what it takes for a thousands separator: 0.7 typed in German became 0.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def validate(self, text: str, position: int) -> object:
        """Qt's verdict on what is typed."""
        return super().validate(self._as_shown(text), position)

    def valueFromText(self, text: str) -> float:
        """The number typed."""
        return super().valueFromText(self._as_shown(text))

    def _as_shown(self, text: str) -> str:
        return text.replace(",", ".").replace(".", self.locale().decimalPoint())  # no field goes to thousands


def named(field: QAbstractSpinBox, name: str) -> None:
    """Give a number's field its name, and the text field within it too, and the margins other fields have."""
    field.setAccessibleName(name)
    for inner in field.findChildren(QLineEdit):
        inner.setAccessibleName(name)
        inner.setTextMargins(t.SPACE_S, 0, t.SPACE_S, 0)  # Qt gives a number's field none of the stylesheet's padding


class Form(QFormLayout):
    """Names at the left, fields at the right; each name stands at the height of its field."""

    def __init__(self, field_rows: bool = True, spacing: int = t.SPACE_M) -> None:
        super().__init__()
        self._height = t.CONTROL_HEIGHT if field_rows else 0
        self.setHorizontalSpacing(t.SPACE_L if field_rows else t.SPACE_XL)
        self.setVerticalSpacing(spacing)
        self.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)

    def add(self, name: str, field: QWidget | QLayout) -> None:
        """Add a row."""
        label = TermLabel(name)
        label.setMinimumHeight(self._height)
        label.setAlignment(Qt.AlignmentFlag.AlignVCenter if self._height else Qt.AlignmentFlag.AlignTop)
        self.addRow(label, field)
