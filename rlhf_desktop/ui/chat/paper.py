"""A conversation on paper: the document that is printed or written as PDF. Made and drawn on whatever thread asks."""

from pathlib import Path

from PySide6.QtCore import QBuffer, QIODevice, QMarginsF, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QPagedPaintDevice,
    QPageSize,
    QPdfWriter,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextDocumentFragment,
)

from rlhf_desktop.core.files import write_atomic
from rlhf_desktop.operations.conversation_export import Said, Transcript
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.markdown import inert_document
from rlhf_desktop.ui.widgets.text import either_way

_BODY_PT, _TITLE_PT = 10.5, 15.0
_DPI = 300
_NAMES = {"user": "You", "system": "Instructions"}


def document_of(found: Transcript) -> QTextDocument:
    """Title, then each message under who said it. Nothing in a message reaches into the next, loads a file or is HTML."""
    document = inert_document("")
    document.setDefaultFont(_font(_BODY_PT))
    either_way(document)
    cursor = QTextCursor(document)
    cursor.insertText(found.title, _bold(_TITLE_PT))
    for said in found.said:
        _heading(cursor, said)
        cursor.insertBlock(QTextBlockFormat(), QTextCharFormat())
        cursor.insertFragment(QTextDocumentFragment(inert_document(said.text, _font(_BODY_PT))))
    return document


def _heading(cursor: QTextCursor, said: Said) -> None:
    above = QTextBlockFormat()
    above.setTopMargin(t.SPACE_L)
    above.setBottomMargin(t.SPACE_XS)
    cursor.insertBlock(above)
    cursor.insertText(_NAMES.get(said.role, said.model or "Answer") + (" (cut)" if said.cut else ""), _bold(_BODY_PT))


def _font(points: float) -> QFont:
    font = QFont(t.FONT_TEXT)
    font.setPointSizeF(points)
    return font


def _bold(points: float) -> QTextCharFormat:
    made = QTextCharFormat()
    made.setFont(_font(points))
    made.setFontWeight(QFont.Weight.Bold)
    made.setForeground(QColor(Qt.GlobalColor.black))
    return made


def draw(found: Transcript, device: QPagedPaintDevice) -> None:
    """Draw it on a printer, or into a PDF, page by page."""
    document_of(found).print_(device)  # which leaves a margin of two centimetres by itself


def write_pdf(found: Transcript, path: Path) -> None:
    """Write it as PDF, whole or not at all."""
    made = QBuffer()
    made.open(QIODevice.OpenModeFlag.WriteOnly)
    writer = QPdfWriter(made)
    writer.setResolution(_DPI)
    writer.setPageSize(QPageSize(QPageSize.PageSizeId.A4))
    writer.setPageMargins(QMarginsF(0, 0, 0, 0))
    writer.setTitle(found.title)
    writer.setCreator("RLHF Desktop")
    draw(found, writer)
    write_atomic(path, bytes(made.data().data()))
