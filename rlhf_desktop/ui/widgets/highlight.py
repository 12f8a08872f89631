"""Parts of a text field that are drawn differently without being changed."""

from PySide6.QtGui import QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QTextEdit


def highlight(where: QTextCursor, look: QTextCharFormat) -> QTextEdit.ExtraSelection:
    """Draw what a cursor selects in a format of its own."""
    made = QTextEdit.ExtraSelection()
    made.cursor = where  # type: ignore[attr-defined]  # PySide6's stubs lack this class's fields
    made.format = look  # type: ignore[attr-defined]  # as above
    return made


def place_of(selection: QTextEdit.ExtraSelection) -> QTextCursor:
    """What is selected."""
    return QTextCursor(selection.cursor)  # type: ignore[attr-defined]  # PySide6's stubs lack this class's fields
