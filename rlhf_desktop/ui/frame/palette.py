"""Ctrl+K: type a few letters of a room, a conversation or an action, and go there."""

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QLineEdit, QListWidget, QListWidgetItem, QWidget

from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.frame.overlay import Overlay
from rlhf_desktop.ui.theme import icons
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.surfaces import column

_MOST = 12


@dataclass(frozen=True)
class Command:
    """Something the palette finds."""

    text: str
    icon: str
    run: Callable[[], None]
    hint: str = ""
    aliases: str = ""  # what else people call it, with commas between


Source = Callable[[str], list[Command]]  # what the user typed → what matches
Deliver = Callable[[list[Command]], None]


class CommandPalette(Overlay):
    """Lies over the window; Esc or a click elsewhere closes it."""

    def __init__(self, host: QWidget) -> None:
        super().__init__(host)
        self.setAccessibleName("Find anything")
        self._source: Source = lambda _text: []
        self._more: Callable[[str, Deliver], None] = lambda _text, _deliver: None
        self._commands: list[Command] = []
        self._searches = 0
        self.setFixedWidth(t.PALETTE_WIDTH)
        box = column(self, t.SPACE_S, t.SPACE_S)
        self.field = QLineEdit()
        self.field.setPlaceholderText("Find an action, a setting, help, a conversation…")
        self.field.setAccessibleName("Find anything")
        self.found = QListWidget()
        self.found.setAccessibleName("Found")
        self.found.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.found.setFrameShape(QFrame.Shape.NoFrame)
        self.found.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        box.addWidget(self.field)
        box.addWidget(self.found)
        self.field.textChanged.connect(self._search)
        self.field.returnPressed.connect(self._run_current)
        self.found.itemClicked.connect(lambda _item: self._run_current())
        self.field.installEventFilter(self)

    def set_source(self, source: Source, more: Callable[[str, Deliver], None]) -> None:
        """Search there: at once, and for what takes longer by asking for `more`, which delivers."""
        self._source, self._more = source, more

    def open(self) -> None:
        """Show, empty and ready to type."""
        host = self.host
        self.field.clear()
        self._search("")
        self.move((host.width() - self.width()) // 2, t.HEADER_HEIGHT + t.SPACE_XL)
        self.come(self.field)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Arrows choose while the field keeps the focus."""
        if not isinstance(event, QKeyEvent) or event.type() != QEvent.Type.KeyPress:
            return super().eventFilter(watched, event)
        said = keymap.heard(event, "palette")
        step = {"down": 1, "up": -1}.get(said)
        if said == "leave":
            self.leave()
        elif step:
            self.found.setCurrentRow(max(0, min(self.found.count() - 1, self.found.currentRow() + step)))
        return bool(said)

    def _search(self, text: str) -> None:
        wanted = text.strip()
        self.found.clear()
        self._commands = []
        self._searches += 1
        search = self._searches
        self._add(search, self._source(wanted))
        if wanted:
            self._more(wanted, lambda found: self._add(search, found))

    def _add(self, search: int, found: list[Command]) -> None:
        if search != self._searches:  # the answer to what was typed before
            return
        found = found[: _MOST - len(self._commands)]
        self._commands += found
        for command in found:
            words = f"{command.text}    {command.hint}" if command.hint else command.text
            self.found.addItem(QListWidgetItem(icons.icon(command.icon, "muted", t.ICON_SMALL), words))
        self.found.setCurrentRow(max(0, self.found.currentRow()))
        rows = max(1, len(self._commands))
        self.found.setFixedHeight(rows * (self.fontMetrics().lineSpacing() + t.SPACE_M) + t.SPACE_S)
        self.adjustSize()

    def _run_current(self) -> None:
        row = self.found.currentRow()
        self.leave()  # first: what is run may choose where the focus goes
        if 0 <= row < len(self._commands):
            self._commands[row].run()
