"""Files that are dropped on a widget, or pasted into it."""

from pathlib import Path

from PySide6.QtCore import QEvent, QMimeData, QObject, Qt, Signal
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QWidget

_TAKEN = (QEvent.Type.DragEnter, QEvent.Type.Drop)  # not each move between them, which Qt makes of the same class


def local_files(given: QMimeData) -> list[Path]:
    """The files of this computer in what is dropped or pasted; none where it is text or pictures."""
    return [Path(url.toLocalFile()) for url in given.urls() if url.isLocalFile()] if given.hasUrls() else []


class FileDrop(QObject):
    """Lets files be dropped on a widget."""

    dropped = Signal(list)  # [Path]

    def __init__(self, target: QWidget) -> None:
        super().__init__(target)
        target.setAcceptDrops(True)
        target.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take files, and nothing else."""
        if isinstance(event, QDropEvent) and event.type() in _TAKEN and (files := local_files(event.mimeData())):
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            if event.type() == QEvent.Type.Drop:
                self.dropped.emit(files)
            return True
        return super().eventFilter(watched, event)
