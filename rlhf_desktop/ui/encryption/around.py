"""What the windows share that open while the workspace's own is closed: a page, and the guide beside it by F1."""

from PySide6.QtCore import QRect
from PySide6.QtWidgets import QApplication, QMainWindow, QWidget

from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.help.beside import Beside
from rlhf_desktop.ui.help.pane import HelpPane
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.surfaces import Page

HELP = "privacy#encryption"


class AroundWindow(QMainWindow):
    """One page in the middle. Nothing of the workspace is in it: it may be locked.

    Args:
        title: Of the window.
        place: Where the window before it stood; None: the system decides.
    """

    def __init__(self, title: str, place: QRect | None = None) -> None:
        super().__init__()
        self.setWindowTitle(f"RLHF Desktop – {title}")
        self.setMinimumSize(t.WINDOW_MIN_WIDTH, t.WINDOW_MIN_HEIGHT)
        self.resize(t.WINDOW_WIDTH, t.WINDOW_HEIGHT)
        if place is not None:
            self.setGeometry(place)
        self.page, self.pane = Page(t.FORM_WIDTH), HelpPane()
        self.page.setProperty("kind", "page")
        self.beside = Beside(self.page, self.pane, "Width of the help", t.HELP_WIDTH)
        self.pane.closed.connect(self._close_help)
        self._before: QWidget | None = None
        keymap.listen(self, "help", self.toggle_help)
        self.setCentralWidget(self.beside)

    def toggle_help(self) -> None:
        """Open the guide beside the page, or close it."""
        if self.pane.isVisibleTo(self.beside):
            self._close_help()
            return
        self._before = QApplication.focusWidget()
        self.beside.show_side(True)
        self.pane.show_target(HELP)
        self.pane.view.setFocus()

    def _close_help(self) -> None:
        self.beside.show_side(False)
        (self._before or self.page).setFocus()
