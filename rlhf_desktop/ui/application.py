"""The running application, as what it is: Qt's own accessor promises only the least of its kinds, or none."""

from PySide6.QtWidgets import QApplication


def application() -> QApplication:
    """The one application of this process.

    Raises:
        RuntimeError: There is none yet.
    """
    running = QApplication.instance()
    if not isinstance(running, QApplication):
        raise RuntimeError("No application with windows is running")
    return running
