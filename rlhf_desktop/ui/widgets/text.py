"""Labels. Always plain text: whatever a model or a colleague wrote is never read as markup."""

import unicodedata
from html import escape

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QTextDocument
from PySide6.QtGui import Qt as QtGuiNames  # has what the other lacks
from PySide6.QtWidgets import QLabel, QWidget

from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import icons
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.growing import is_growth
from rlhf_desktop.ui.widgets.label import Label, Size, restyle

__all__ = ["Label", "Size", "restyle"]

_BETWEEN = " · "


def plain_tip(text: str) -> str:
    """A tooltip of somebody's words, shown as they are: Qt takes what looks like HTML for HTML, and loads what that points to."""
    return f'<span style="white-space: pre-wrap">{escape(text)}</span>' if QtGuiNames.mightBeRichText(text) else text


def either_way(document: QTextDocument) -> None:
    """Have each paragraph begin at the side its own script begins at, whatever the window's language."""
    option = document.defaultTextOption()
    option.setTextDirection(Qt.LayoutDirection.LayoutDirectionAuto)
    document.setDefaultTextOption(option)


def leftwards(text: str) -> bool:
    """Whether a text's first letter belongs to a script that is written from right to left."""
    kinds = (unicodedata.bidirectional(letter) for letter in text)
    return next((kind != "L" for kind in kinds if kind in ("L", "R", "AL")), False)


def align_as_written(document: QTextDocument) -> None:
    """Have a plain text field's text stand at the side its script begins at: plain documents do not by themselves."""

    def align() -> None:
        option = document.defaultTextOption()
        side = Qt.AlignmentFlag.AlignRight if leftwards(document.firstBlock().text()) else Qt.AlignmentFlag.AlignLeft
        if option.alignment() != side:
            option.setAlignment(side)
            document.setDefaultTextOption(option)

    document.contentsChanged.connect(align)


def title(text: str) -> Label:
    """A page's one title."""
    return Label(text, "title")


def heading(text: str) -> Label:
    """A section's heading. Its technical words lead to the glossary."""
    return TermLabel(text, "heading")


def caption(text: str, wrap: bool = False) -> Label:
    """Small quiet text; where it explains, over several lines, its technical words lead to the glossary."""
    return (TermLabel if wrap else Label)(text, "caption", "muted", wrap=wrap)


class ElidedLabel(Label):
    """One line that ends in … when there is no room; the whole text is in the tooltip."""

    def setText(self, text: str) -> None:
        """Show `text`, in one line."""
        super().setText(" ".join(text.split()))
        self.setToolTip(plain_tip(self.text()))

    def minimumSizeHint(self) -> QSize:
        """Narrow on purpose: this label gives way."""
        return QSize(t.SPACE_XXL, super().minimumSizeHint().height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw as much as fits."""
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(self.contentsRect(), int(self.alignment()) | int(Qt.TextFlag.TextSingleLine), self.shown())

    def shown(self) -> str:
        """As much of the text as fits."""
        return self._cut(self.text())

    def _cut(self, text: str) -> str:
        return QFontMetrics(self.font()).elidedText(text, Qt.TextElideMode.ElideRight, self.contentsRect().width())


class PartsLabel(ElidedLabel):
    """Parts with “ · ” between them: a part that does not fit is left out whole, the last one first.

    Nothing is shown where not even the first one fits: “220 …” for “220 of 8,192 tokens” would be read as a number of its own.
    """

    def shown(self) -> str:
        """As many parts as fit."""
        parts = self.text().split(_BETWEEN)
        fitting = [whole for n in range(len(parts), 0, -1) if self._cut(whole := _BETWEEN.join(parts[:n])) == whole]
        return fitting[0] if fitting else ""


class IconLabel(QLabel):
    """A picture that keeps its tint when the theme changes. Decoration: the words are beside it."""

    def __init__(self, name: str, role: t.Role = "text", size: int = t.ICON, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name, self._role, self._token = name, role, size
        self._size = icons.grown(size)
        self._refresh()

    def set_icon(self, name: str, role: t.Role = "text") -> None:
        """Show another icon."""
        self._name, self._role = name, role
        self._refresh()

    def changeEvent(self, event: QEvent) -> None:
        """Tint again when the theme has changed, and grow with the text."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange or (is_growth(event) and self._size != icons.grown(self._token)):
            self._size = icons.grown(self._token)
            self._refresh()

    def _refresh(self) -> None:
        self.setPixmap(icons.pixmap(self._name, self._role, self._size))
