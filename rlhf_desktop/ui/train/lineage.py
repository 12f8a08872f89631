"""Where a model comes from and what it becomes, as a small chain: base → examples → PPO."""

from collections.abc import Sequence

from PySide6.QtWidgets import QWidget

from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.growing import keep_grown
from rlhf_desktop.ui.widgets.surfaces import clear, row
from rlhf_desktop.ui.widgets.text import ElidedLabel, IconLabel, restyle

_LONGEST = 5  # links shown; what lies between the base and these is said as "…"


class LineageStrip(QWidget):
    """Shows names from the base model to the newest; the last one is what is being made, and outlined."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._across = row(self, 0, t.SPACE_S)
        self.names: tuple[str, ...] = ()

    def show_chain(self, names: Sequence[str]) -> None:
        """Show these names, oldest first."""
        if tuple(names) == self.names:
            return
        self.names = tuple(names)
        clear(self._across)
        shown = names if len(names) <= _LONGEST else [names[0], "…", *names[2 - _LONGEST :]]
        for place, name in enumerate(shown):
            if place:
                self._across.addWidget(IconLabel("chevron-right", "muted", t.ICON_SMALL))
            self._across.addWidget(_link(name, made=place == len(shown) - 1))
        self._across.addStretch(1)
        self.setAccessibleName("From " + ", then ".join(names))


def _link(name: str, made: bool) -> ElidedLabel:
    link = ElidedLabel(name, strong=made)
    keep_grown(link, lambda: link.setMaximumWidth(link.fontMetrics().horizontalAdvance(name) + 2 * t.SPACE_L))
    restyle(link, kind="made" if made else "chip")
    return link
