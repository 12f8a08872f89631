"""`feedback import | export | stats`: judgements in and out of a project."""

from dataclasses import asdict
from pathlib import Path

import click

from rlhf_desktop.cli.common import Group, table
from rlhf_desktop.cli.desk import desk_of
from rlhf_desktop.operations.feedback import EXPORT_FORMATS, export_feedback, feedback_stats, import_feedback

FILE = click.Path(path_type=Path)


@click.group(cls=Group)
def feedback() -> None:
    """Judgements: import, export, and how many there are."""


@feedback.command("import")
@click.argument("file", type=FILE)
@click.option("--annotator", default="", metavar="WHO", help="Who judged, where the rows don't say.")
@click.pass_context
def import_file(ctx: click.Context, file: Path, annotator: str) -> None:
    """Add a file's rankings, comparisons or examples to the project.

    JSON lines in one of these forms: {"prompt", "completions": [{"text", "rank"}]}; {"prompt", "chosen", "rejected"}; whole
    conversations as {"chosen", "rejected"} (also HH-RLHF); {"prompt", "completion"}; {"messages"}. Rows that cannot be used go to
    FILE.rejected.jsonl with the reason. Importing a file twice changes nothing.
    """
    desk = desk_of(ctx)
    report = import_feedback(
        desk.store, desk.project, file, annotator=annotator, on_progress=lambda n: desk.console.progress(f"{n:,} rows read")
    )
    aside = str(report.rejected_file) if report.rejected_file else None
    value = {
        "project": desk.project.name,
        "imported": report.imported,
        "rankings": report.rankings,
        "demonstrations": report.demonstrations,
        "duplicates": report.duplicates,
        "rejected": report.rejected,
        "rejected_file": aside,
    }
    text = f"{report.rankings} rankings and {report.demonstrations} examples added to “{desk.project.name}”"
    text += f"; {report.duplicates} were there already." if report.duplicates else "."
    if aside:
        text += f"\n{report.rejected} rows could not be used ({report.first_reason}); they are in {aside}."
    desk.console.result(value, text)


@feedback.command("export")
@click.argument("file", type=FILE)
@click.option("--format", "form", type=click.Choice(EXPORT_FORMATS), default="rankings", show_default=True)
@click.pass_context
def export_file(ctx: click.Context, file: Path, form: str) -> None:
    """Write the project's feedback to a file."""
    desk = desk_of(ctx)
    rows = export_feedback(desk.store, desk.project, file, form)
    desk.console.result({"out": str(file), "format": form, "rows": rows}, f"{rows} rows are in {file}.")


@feedback.command()
@click.pass_context
def stats(ctx: click.Context) -> None:
    """Count the project's feedback."""
    desk = desk_of(ctx)
    found = feedback_stats(desk.store, desk.project)
    rows = [
        ("Judgements", f"{found.judgements}", ", ".join(f"{n} {kind}" for kind, n in found.by_kind.items())),
        ("Comparisons", f"{found.comparisons}", f"and {found.ties} ties"),
        ("Prompts judged", f"{found.judged_prompts}", f"{found.heldout_prompts} of them held out for evaluation"),
        *(("Prompt set", f"{n}", name) for name, n in found.prompt_sets.items()),
    ]
    desk.console.result({"project": desk.project.name, **asdict(found)}, table(rows, (desk.project.name, "", "")))
