"""Tells the user that a run has ended while they look at something else: the desktop's notification, where there is one."""

import shutil

from PySide6.QtCore import QObject, QProcess
from PySide6.QtWidgets import QApplication, QSystemTrayIcon, QWidget

from rlhf_desktop.ui.theme import icons


class Notifier(QObject):
    """Quiet while the window is in front: the toast has said it there."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self._tray: QSystemTrayIcon | None = None

    def notify(self, text: str) -> bool:
        """Show `text` outside the window. Whether that was needed and possible."""
        if self._window.isActiveWindow():
            return False
        QApplication.alert(self._window)
        return self._by_tray(text) or self._by_program(text)

    def _by_tray(self, text: str) -> bool:
        if not (QSystemTrayIcon.isSystemTrayAvailable() and QSystemTrayIcon.supportsMessages()):
            return False
        if self._tray is None:
            self._tray = QSystemTrayIcon(icons.icon("train"), self)
            self._tray.activated.connect(self._window.bring_to_front)
            self._tray.messageClicked.connect(self._window.bring_to_front)
        self._tray.show()
        self._tray.showMessage("RLHF Desktop", text, icons.icon("train"))
        return True

    def _by_program(self, text: str) -> bool:
        """Linux desktops without a tray still show what `notify-send` is told."""
        program = shutil.which("notify-send")
        return program is not None and bool(QProcess.startDetached(program, ["--app-name=RLHF Desktop", "RLHF Desktop", text])[0])
