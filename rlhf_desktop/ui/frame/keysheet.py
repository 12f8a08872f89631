"""The list of all keys, over the window: those of the room in front first. It is made from the one table of keys."""

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont, QKeyEvent
from PySide6.QtWidgets import QFrame, QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.frame.overlay import Overlay
from rlhf_desktop.ui.theme import icons
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, IconButton
from rlhf_desktop.ui.widgets.surfaces import column, row
from rlhf_desktop.ui.widgets.text import heading

_SEVERAL = "  or  "


class KeySheet(Overlay):
    """Lies over the window; Esc closes it, and the focus goes back where it was."""

    def __init__(self, host: QWidget) -> None:
        super().__init__(host)
        self.setAccessibleName("Keys")
        box = column(self, t.SPACE_M, t.SPACE_S)
        head = row(spacing=t.SPACE_S)
        head.addWidget(heading("Keys"), 1)
        self._links = row(spacing=t.SPACE_S)
        head.addLayout(self._links)
        self.shut = IconButton("x", "Close")
        self.shut.setToolTip(keymap.tip("Close", "leave"))
        head.addWidget(self.shut)
        box.addLayout(head)
        self.list = self._make_list()
        box.addWidget(self.list)
        self.shut.clicked.connect(self.leave)

    def _make_list(self) -> QTreeWidget:
        made = QTreeWidget()
        made.setAccessibleName("Keys, by where they hold")
        made.setColumnCount(2)
        made.setHeaderHidden(True)
        made.header().setAccessibleName("Key and what it does")
        made.setRootIsDecorated(False)
        made.setIndentation(0)
        made.setItemsExpandable(False)
        made.setFrameShape(QFrame.Shape.NoFrame)
        made.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        made.header().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        return made

    def add_link(self, words: str, then: Callable[[], object]) -> Button:
        """A quiet button beside the heading, for what says more; it closes the sheet first."""
        button = Button(words, "link")
        button.clicked.connect(self.leave)
        button.clicked.connect(lambda: then())
        self._links.addWidget(button)
        return button

    def open(self, room: str) -> None:
        """Show the keys, those of this room first."""
        self._fill(room)
        self._place()
        if (first := self.list.topLevelItem(0)) is not None:
            self.list.setCurrentItem(first)
        self.list.scrollToTop()
        self.come(self.list)

    def _place(self) -> None:
        host = self.host
        width = min(icons.grown(t.FORM_WIDTH), host.width() - t.RAIL_WIDTH - 2 * t.SPACE_L)
        self.setFixedSize(width, host.height() - t.HEADER_HEIGHT - t.STATUS_HEIGHT - 2 * t.SPACE_L)
        self.move(max(t.RAIL_WIDTH + t.SPACE_L, (host.width() - width) // 2), t.HEADER_HEIGHT + t.SPACE_L)

    def _fill(self, room: str) -> None:
        self.list.clear()
        for place, uses in keymap.in_order(room):
            head = self._group(place.title)
            for use in uses:
                head.addChild(_line(place.title, use))
        self.list.expandAll()

    def _group(self, title: str) -> QTreeWidgetItem:
        item = QTreeWidgetItem(self.list, [title])
        item.setFirstColumnSpanned(True)
        font = QFont(self.list.font())
        font.setWeight(QFont.Weight.DemiBold)
        item.setFont(0, font)
        return item

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The key that closes."""
        if keymap.heard(event, "sheet") == "leave":
            self.leave()
        else:
            super().keyPressEvent(event)


def _line(place: str, use: keymap.Use) -> QTreeWidgetItem:
    keys, does = _SEVERAL.join(keymap.all_shown(use.name)), use.does[:1].upper() + use.does[1:]
    item = QTreeWidgetItem([f"    {keys}", does])
    item.setData(0, Qt.ItemDataRole.AccessibleTextRole, f"{keys}: {does}")
    item.setData(0, Qt.ItemDataRole.AccessibleDescriptionRole, place)
    return item
