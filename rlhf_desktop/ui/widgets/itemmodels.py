"""What item models of lists and tables share."""

from typing import Protocol

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QStyle, QStyleOptionViewItem

Index = QModelIndex | QPersistentModelIndex
"""A place in a model, as Qt asks for it: an index for the moment, or one that follows its row."""


class Drawn(Protocol):
    """What a delegate is told of the row that it draws."""

    rect: QRect
    font: QFont
    state: QStyle.StateFlag


def drawn(option: QStyleOptionViewItem) -> Drawn:
    """The fields of an option."""
    return option  # type: ignore[return-value]  # PySide6's stubs lack the fields of style options
