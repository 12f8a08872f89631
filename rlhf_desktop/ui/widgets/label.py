"""The label everything else is made of: plain text in a type size and tone of the theme."""

from typing import Literal

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

Size = Literal["caption", "body", "answer", "heading", "title"]


def restyle(widget: QWidget, **properties: object) -> None:
    """Set properties the stylesheet selects on, and have it look again."""
    for name, value in properties.items():
        widget.setProperty(name, value)
    widget.style().unpolish(widget)
    widget.style().polish(widget)
    widget.update()


class Label(QLabel):
    """Plain text in a type size and tone of the theme."""

    def __init__(
        self,
        text: str = "",
        size: Size = "body",
        tone: str = "",
        strong: bool = False,
        wrap: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)
        self.setWordWrap(wrap)
        self.setProperty("type", size)
        self.setProperty("tone", tone)
        self.setProperty("strong", strong)

    def set_tone(self, tone: str) -> None:
        """Change the colour to that of a role ("muted", "danger", …)."""
        restyle(self, tone=tone)
