"""Showing a report that was written: in the browser, and saying where it lies."""

from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices

from rlhf_desktop.ui.context import Session


def show_report(session: Session, page: Path) -> None:
    """Open a report's page and say where it is."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(page)))
    session.announce(f"The report is written: {page.parent.name}/{page.name} in your workspace.")
