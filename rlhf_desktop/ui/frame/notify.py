"""What is said outside the window: how runs go, in the system's tray, and that one has ended, by the desktop's notification.

Neither is the only place: the status bar, Train and the list of notices say the same.
"""

import shutil
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QProcess, QTimer
from PySide6.QtWidgets import QApplication, QMenu, QSystemTrayIcon

from rlhf_desktop.store.projects import SettingsStore
from rlhf_desktop.ui.theme import icons

if TYPE_CHECKING:
    from rlhf_desktop.ui.frame.window import Window

_MESSAGE_MS = 10_000
_ENDED = "A run has ended. The program’s notices say how."

TRAY = "tray"
"""The setting: whether the state of runs is shown in the tray, where there is one."""


class Tray(QObject):
    """An icon in the system's tray, where there is one and the user has not turned it off.

    Args:
        window: A press on the icon brings it to the front.
        settings: Of the workspace.
    """

    def __init__(self, window: "Window", settings: SettingsStore) -> None:
        super().__init__(window)
        self._window, self._settings = window, settings
        self._icon: QSystemTrayIcon | None = None
        self._words = ""
        self._going = QTimer(self)
        self._going.setSingleShot(True)
        self._going.setInterval(_MESSAGE_MS)
        self._going.timeout.connect(self.refresh)

    def refresh(self) -> None:
        """Come or go, as the setting says."""
        wanted = QSystemTrayIcon.isSystemTrayAvailable() and bool(self._settings.get(TRAY, True))
        if wanted and self._icon is None:
            self._icon = self._make()
            self.show_run(self._words)
        elif self._icon is not None:
            self._icon.setVisible(wanted)

    def show_run(self, words: str) -> None:
        """The run under way; "" for none."""
        self._words = words
        if self._icon is not None:
            self._icon.setIcon(icons.icon("train", "accent" if words else "muted"))
            self._icon.setToolTip(f"RLHF Desktop: {words or 'no run'}")
            self._run.setText((words or "No run").replace("&", "&&"))

    def say(self, text: str) -> bool:
        """A message beside the icon. Whether the system shows such."""
        if not (QSystemTrayIcon.isSystemTrayAvailable() and QSystemTrayIcon.supportsMessages()):
            return False
        if self._icon is None:
            self._icon = self._make()
        self._icon.show()
        self._icon.showMessage("RLHF Desktop", text, icons.icon("train"))
        self._going.start()  # a message needs the icon; where that is not wanted, it goes again
        return True

    def _make(self) -> QSystemTrayIcon:
        made = QSystemTrayIcon(icons.icon("train"), self)
        menu = QMenu(self._window)
        menu.addAction("Open RLHF Desktop", self._window.bring_to_front)
        self._run = menu.addAction("No run", self._window.bring_to_front)
        menu.addSeparator()
        menu.addAction("Close the window; runs go on", self._window.close)
        made.setContextMenu(menu)
        made.activated.connect(self._pressed)
        made.messageClicked.connect(self._window.bring_to_front)
        made.show()
        return made

    def _pressed(self, how: QSystemTrayIcon.ActivationReason) -> None:
        if how != QSystemTrayIcon.ActivationReason.Context:  # that opens the menu
            self._window.bring_to_front()


class Notifier(QObject):
    """Quiet while the window is in front: the toast has said it there."""

    def __init__(self, window: "Window", tray: Tray) -> None:
        super().__init__(window)
        self._window, self._tray = window, tray

    def notify(self, text: str) -> bool:
        """Show `text` outside the window. Whether that was needed and possible."""
        if self._window.isActiveWindow():
            return False
        QApplication.alert(self._window)
        return self._tray.say(text) or self._by_program()

    def _by_program(self) -> bool:
        """Linux desktops without a tray still show what `notify-send` is told: no name, as everybody here can list its words."""
        program = shutil.which("notify-send")
        return program is not None and bool(QProcess.startDetached(program, ["--app-name=RLHF Desktop", "RLHF Desktop", _ENDED])[0])
