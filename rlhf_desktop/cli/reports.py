"""What the commands that write reports share: where to, and what they say."""

from pathlib import Path
from typing import Any

import click

from rlhf_desktop.cli.desk import Desk
from rlhf_desktop.cli.passphrases import say_whether_encrypted
from rlhf_desktop.operations.report_pages import Report, ReportFiles, write_report

FOLDER = click.Path(path_type=Path, file_okay=False)


def report_option(command: Any) -> Any:
    """`--report FOLDER`: also write what was found as HTML and Markdown."""
    option = click.option(
        "--report", "report_to", type=FOLDER, metavar="FOLDER", help="Also write a report there: HTML and Markdown."
    )
    return option(command)


def written(desk: Desk, report: Report, folder: Path | None) -> dict[str, Any]:
    """Write a report if a folder was given; what to add to the JSON result."""
    if folder is None:
        return {}
    files = write_report(report, folder)
    remember(desk, files)
    return {"report": as_json(files)}


def remember(desk: Desk, files: ReportFiles) -> None:
    """A report holds answers: an erase names those that lie outside the workspace."""
    desk.store.exports.note_files(desk.project.id, (files.html, files.markdown), "report", desk.workspace.root)
    say_whether_encrypted(desk.workspace, files.html, desk.console.note)


def as_json(files: ReportFiles) -> dict[str, str]:
    """The files of a report as JSON."""
    return {"html": str(files.html), "markdown": str(files.markdown)}
