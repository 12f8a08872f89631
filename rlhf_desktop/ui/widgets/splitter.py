"""Two parts side by side whose widths are remembered."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QSplitter, QWidget

from rlhf_desktop.store.projects import SettingsStore


class KeptSplitter(QSplitter):
    """A splitter that comes back as it was left.

    Args:
        name: Of its setting.
        settings: Where the widths are kept.
    """

    def __init__(self, name: str, settings: SettingsStore, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self._setting, self._settings = f"widths of {name}", settings
        self.splitterMoved.connect(lambda _place, _handle: settings.set(self._setting, self.sizes()))
        self._is_new = True

    def showEvent(self, event: QShowEvent) -> None:
        """The first time: as it was left."""
        super().showEvent(event)
        kept = self._settings.get(self._setting, []) if self._is_new else []
        self._is_new = False
        if len(kept) == self.count() and sum(kept) > 0:
            self.setSizes(kept)
