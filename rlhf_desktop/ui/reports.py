"""Showing a report that was written: in the browser, and saying where it lies."""

from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from shiboken6 import isValid

from rlhf_desktop.operations.written import report_written
from rlhf_desktop.ui.context import Session
from rlhf_desktop.ui.widgets.written import WrittenCard


def show_report(session: Session, page: Path, card: WrittenCard | None = None) -> None:
    """Open a report's page and say where it is: in the page's own card, if it has one that is still there."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(page)))
    if card is not None and isValid(card):
        card.show_written(report_written(page))
    else:
        session.announce(f"The report is written: {page.parent.name}/{page.name} in your workspace.")
