"""What the commands that write reports share: where to, and what they say."""

from pathlib import Path
from typing import Any

import click

from rlhf_desktop.operations.report_pages import Report, ReportFiles, write_report

FOLDER = click.Path(path_type=Path, file_okay=False)


def report_option(command: Any) -> Any:
    """`--report FOLDER`: also write what was found as HTML and Markdown."""
    option = click.option(
        "--report", "report_to", type=FOLDER, metavar="FOLDER", help="Also write a report there: HTML and Markdown."
    )
    return option(command)


def written(report: Report, folder: Path | None) -> dict[str, Any]:
    """Write a report if a folder was given; what to add to the JSON result."""
    return {} if folder is None else {"report": as_json(write_report(report, folder))}


def as_json(files: ReportFiles) -> dict[str, str]:
    """The files of a report as JSON."""
    return {"html": str(files.html), "markdown": str(files.markdown)}
