"""`runs report | compare | note`: what is kept of runs, for people."""

from dataclasses import asdict
from pathlib import Path

import click

from rlhf_desktop.cli.common import Command, table
from rlhf_desktop.cli.desk import desk_of
from rlhf_desktop.cli.reports import FOLDER, as_json, remember
from rlhf_desktop.jobs.runnotes import annotate_run
from rlhf_desktop.operations.comparing import RunComparison, compare_runs
from rlhf_desktop.operations.plain_words import exact, measure
from rlhf_desktop.operations.report import run_report
from rlhf_desktop.operations.report_pages import write_report


@click.command(cls=Command)
@click.argument("run")
@click.option("--to", "folder", type=FOLDER, required=True, metavar="FOLDER", help="Where the HTML and Markdown files go.")
@click.option("--names", is_flag=True, help="Say who judged.")
@click.pass_context
def report(ctx: click.Context, run: str, folder: Path, names: bool) -> None:
    """Write a report of a run: charts, numbers, sample answers and what it was made from."""
    desk = desk_of(ctx)
    files = write_report(run_report(desk.store, desk.workspace, desk.queue.find(run), names=names), folder)
    remember(desk, files)
    desk.console.result(as_json(files), f"The report is in {files.html} and {files.markdown}.")


@click.command(cls=Command)
@click.argument("run", nargs=-1, required=True)
@click.pass_context
def compare(ctx: click.Context, run: tuple[str, ...]) -> None:
    """Runs side by side: what was set differently, what came out, and which is best by held-out prompts."""
    desk = desk_of(ctx)
    found = compare_runs([desk.queue.find(name) for name in run])
    rows = [{"name": row.name, "values": row.values, "differs": row.differs} for row in found.rows]
    desk.console.result({**asdict(found), "rows": rows}, _compared_text(found))


def _compared_text(found: RunComparison) -> str:
    rows = [(row.name, *row.values) for row in found.rows if row.differs]
    rows += [(measure(row.name).label, *("–" if v is None else exact(row.name, v) for v in row.values)) for row in found.metrics]
    return f"{table(rows, ('', *found.titles))}\n{found.why}"


@click.command(cls=Command)
@click.argument("run")
@click.option("--title", metavar="TEXT", help="Call it so from now on.")
@click.option("--notes", metavar="TEXT", help="What to remember about it.")
@click.option("--archive/--unarchive", "archived", default=None, help="Put it away, or take it out again.")
@click.pass_context
def note(ctx: click.Context, run: str, title: str | None, notes: str | None, archived: bool | None) -> None:
    """Rename a run, write notes about it, or put it away."""
    desk = desk_of(ctx)
    folder = desk.queue.find(run)
    kept = annotate_run(folder, title=title, notes=notes, archived=archived)
    said = kept.model_dump(mode="json", exclude={"v"}) | {"run": folder.id}
    desk.console.result(
        said, "\n".join(filter(None, [kept.title, kept.notes, "Archived." if kept.archived else ""])) or "No notes."
    )


COMMANDS = (report, compare, note)
