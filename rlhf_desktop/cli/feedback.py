"""`feedback import | export | merge | stats`: judgements in and out of a project."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from rlhf_desktop.cli.common import Group, table
from rlhf_desktop.cli.desk import Desk, desk_of
from rlhf_desktop.cli.passphrases import ask_for_file, ask_new, from_file, say_whether_encrypted
from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.lockedfile import is_locked, unlocked
from rlhf_desktop.core.words import count, noun
from rlhf_desktop.feedback.formats import FORMATS
from rlhf_desktop.operations.amounts import amounts
from rlhf_desktop.operations.bundles import (
    erasure_words,
    export_bundle,
    inspect_bundle,
    merge_bundle,
    undo_last_merge,
    undone_words,
)
from rlhf_desktop.operations.feedback import (
    EXPORT_FORMATS,
    ImportPreview,
    ImportReport,
    export_feedback,
    feedback_stats,
    import_feedback,
    preview_import,
    said_columns,
)
from rlhf_desktop.store.takings import Erasure

FILE = click.Path(path_type=Path)


@click.group(cls=Group)
def feedback() -> None:
    """Judgements: import, export, and how many there are."""


@feedback.command("import")
@click.argument("file", type=FILE)
@click.option("--annotator", default="", metavar="WHO", help="Who judged, where the rows don't say.")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), help="The file's format, when it is not recognised.")
@click.option("--column", "columns", multiple=True, metavar="OURS=THEIRS", help="Which column holds a field; may be repeated.")
@click.option("--answer", "answers", multiple=True, metavar="KEY=VALUE", help="What --preview asked for; may be repeated.")
@click.option("--preview", is_flag=True, help="Say what the file seems to be and what it leaves open; import nothing.")
@click.pass_context
def import_file(
    ctx: click.Context,
    file: Path,
    annotator: str,
    form: str | None,
    columns: tuple[str, ...],
    answers: tuple[str, ...],
    preview: bool,
) -> None:
    """Add a file's rankings, comparisons, marks or examples to the project.

    JSON, tables (CSV, Excel), Parquet, archives and folders, in any of the formats of --format; each row is read in the one it
    fits best. Conversations exported from other programs come in with their thumbs.
    Rows that cannot be used go to FILE.rejected.jsonl with the reason. Importing a file twice changes nothing.
    """
    desk = desk_of(ctx)
    mapped, said = (
        _columns(columns),
        _pairs(answers, "An answer is given as KEY=VALUE.", "For example: --answer scale:quality=1-10"),
    )
    if preview:
        seen = preview_import(file, form=form, columns=mapped, answers=said)
        desk.console.result(*_previewed(seen))
        return
    report = import_feedback(
        desk.store,
        desk.project,
        file,
        annotator=annotator,
        form=form,
        columns=mapped,
        answers=said,
        on_progress=lambda n: desk.console.progress(f"{count(n, 'row')} read"),
    )
    aside = str(report.rejected_file) if report.rejected_file else None
    value = {
        "project": desk.project.name,
        "imported": report.imported,
        "rankings": report.rankings,
        "demonstrations": report.demonstrations,
        "others": report.others,
        "duplicates": report.duplicates,
        "rejected": report.rejected,
        "rejected_file": aside,
        "notes": [asdict(note) for note in report.notes],
        "questions": [asdict(question) for question in report.questions],
        "conversations": report.conversations,
        "kinds": dict(report.kinds),
        "alternatives": report.alternatives,
        "asked": report.asked,
    }
    if report.summary:
        text = f"{report.summary} added to “{desk.project.name}”"
    else:
        text = f"{count(report.rankings, 'ranking')} and {count(report.demonstrations, 'example')} added to “{desk.project.name}”"
        text += f", and {count(report.others, 'judgement')} of other forms" if report.others else ""
    text += f"; {count(report.duplicates, 'was', 'were')} there already." if report.duplicates else "."
    if aside:
        text += f"\n{count(report.rejected, 'row')} could not be used ({report.first_reason}); look in {aside}."
    desk.console.result(value, "\n".join([text, *_open_ends(report)]))


def _previewed(seen: ImportPreview) -> tuple[dict[str, Any], str]:
    lines = [f"{guess.confidence:4.0%}  {guess.format.title}" for guess in seen.guesses[:5]] or ["None of the formats fits."]
    lines.append(
        f"{count(seen.usable, 'row')} can be used, {seen.unusable:,} cannot{'' if seen.whole else ' (of the first part)'}."
    )
    lines += [*([f"{seen.summary}."] if seen.summary else []), *seen.understood]
    lines += [f"line {problem.line}: {problem.reason}" for problem in seen.problems[:5]]
    lines += [*_open_ends(seen), f"Columns: {', '.join(seen.columns)}"]
    form, columns = seen.likely
    if form:
        lines.append(f"Likely: {said_columns(form, columns)}")
    value = {
        "guesses": [{"format": guess.format.name, "confidence": guess.confidence} for guess in seen.guesses],
        "sure": seen.sure,
        "columns": list(seen.columns),
        "usable": seen.usable,
        "unusable": seen.unusable,
        "reasons": [asdict(reason) for reason in seen.reasons],
        "questions": [asdict(question) for question in seen.questions],
        "notes": [asdict(note) for note in seen.notes],
        "understood": list(seen.understood),
        "summary": seen.summary,
        "likely": {"format": form, "columns": dict(columns)},
    }
    return value, "\n".join(lines)


def _open_ends(found: ImportPreview | ImportReport) -> Iterator[str]:
    """What was left out, and what the file does not say."""
    for note in found.notes:
        yield f"{note.text} ({_rows(note.rows)})."
    for question in found.questions:
        taken = f"taken as {question.proposal}" if question.proposal else "these rows wait for an answer"
        yield f"{question.text} ({_rows(question.rows)}: {taken}; --answer “{question.key}=…”)"
        yield from (f"  {value}: {words}" for value, words in question.choices[:8])


def _rows(number: int) -> str:
    return count(number, "row")


def _columns(given: tuple[str, ...]) -> dict[str, str] | None:
    return _pairs(given, "A column is given as OURS=THEIRS.", "For example: --column prompt=Question --column chosen=Better")


def _pairs(given: tuple[str, ...], wrong: str, remedy: str) -> dict[str, str] | None:
    parts = [one.split("=", 1) for one in given]
    if any(len(part) != 2 or not all(part) for part in parts):
        raise BadInput(wrong, remedy)
    return {part[0]: part[1] for part in parts} or None


@feedback.command("export")
@click.argument("file", type=FILE)
@click.option("--format", "form", type=click.Choice([*EXPORT_FORMATS, "bundle"]), default="rankings", show_default=True)
@click.option("--names", is_flag=True, help="Write who judged by name; otherwise as a number. A bundle always has the names.")
@click.option("--bundle-passphrase", "ask", is_flag=True, help="Encrypt the bundle with a passphrase, which is asked for.")
@click.option("--bundle-passphrase-file", metavar="FILE", help="Encrypt the bundle with the passphrase in FILE; “-”: stdin.")
@click.pass_context
def export_file(ctx: click.Context, file: Path, form: str, names: bool, bundle_passphrase_file: str | None, ask: bool) -> None:
    """Write the project's feedback to a file: CSV, Parquet or one JSON list by its name, else JSON lines.

    A bundle is the lossless form for colleagues: “feedback merge” adds it to their project.
    """
    desk = desk_of(ctx)
    wanted = ask or bundle_passphrase_file is not None
    if wanted and form != "bundle":
        raise BadInput("Only a bundle can be encrypted by itself.", "Add --format bundle.")
    if form == "bundle":
        passphrase = ask_new(bundle_passphrase_file) if wanted else ""
        rows, left = export_bundle(desk.store, desk.project, file, passphrase).files["judgements.jsonl"].rows, {}
    else:
        made = export_feedback(desk.store, desk.project, file, form, names=names)
        rows, left = made.records, dict(made.left_out)
    if not wanted:
        say_whether_encrypted(desk.workspace, file, desk.console.note)
    said = [f"{count(rows, 'row is', 'rows are')} in {file}."]
    said += [f"Left out, because this format has no place for it: {count(n, 'judgement')} ({kind})." for kind, n in left.items()]
    value = {"out": str(file), "format": form, "rows": rows, "left_out": left, "audit_head": str(desk.store.audit.head())}
    desk.console.result(value, "\n".join(said))


@feedback.command()
@click.argument("file", type=FILE, required=False)
@click.option("--preview", is_flag=True, help="Check the bundle, say what is in it and what it would erase, and merge nothing.")
@click.option(
    "--erasures/--no-erasures",
    default=None,
    help="What was erased there goes here too, for good; or stays. Without either, a bundle that would erase is not merged.",
)
@click.option("--each", is_flag=True, help="Ask of each erasure whether it goes here too.")
@click.option("--erase", "keys", multiple=True, metavar="KEY", help="Only this erasure, as --preview names it; may be repeated.")
@click.option("--undo", is_flag=True, help="Undo the last merge; again, and the one before it. What was erased stays erased.")
@click.option("--bundle-passphrase-file", metavar="FILE", help="The passphrase of an encrypted bundle; “-”: stdin.")
@click.pass_context
def merge(
    ctx: click.Context,
    file: Path | None,
    preview: bool,
    erasures: bool | None,
    each: bool,
    keys: tuple[str, ...],
    undo: bool,
    bundle_passphrase_file: str | None,
) -> None:
    """Add a colleague's bundle to the project. Merging twice changes nothing, and the order of merges does not matter.

    The passphrase of an encrypted one is asked for.
    """
    if (file is None) != undo or (each + bool(keys) + (erasures is not None)) > 1:
        raise click.UsageError("Name a file, or --undo; and choose one way to say what is erased.", ctx)
    desk = desk_of(ctx)
    if file is None:
        done_again = undo_last_merge(desk.store, desk.project)
        desk.console.result({"project": desk.project.name, **asdict(done_again)}, undone_words(done_again))
        return
    if is_locked(file):
        passphrase = from_file(bundle_passphrase_file) if bundle_passphrase_file else ask_for_file(file)
        file = ctx.with_resource(unlocked(file, passphrase, desk.workspace.root))
    if preview:
        seen = inspect_bundle(desk.store, desk.project, file)
        people = ", ".join(seen.annotators) or "nobody"
        text = f"“{seen.project}”: {count(seen.judgements, 'judgement')} by {people}, {seen.new} of them new; "
        text += f"it would erase {seen.takes} of the judgements of “{desk.project.name}”"
        text += f", {count(seen.takes_messages, 'message')} and {count(seen.takes_prompts, 'prompt')}."
        listed = [f"  {one.key}  {erasure_words(one)}" for one in seen.erasures]
        desk.console.result({**asdict(seen), "into": desk.project.name}, "\n".join([text, *listed]))
        return
    if each:
        chosen: Collection[str] | bool | None = _asked(desk, inspect_bundle(desk.store, desk.project, file).erasures)
    else:
        chosen = keys or erasures
    done = merge_bundle(desk.store, desk.project, file, erasures=chosen)
    text = f"{count(done.added['judgements'], 'judgement')} added to “{desk.project.name}”; "
    text += f"{count(done.already, 'was', 'were')} there already."
    text += f"\n{count(done.erased, 'judgement')} went because a colleague erased them." if done.erased else ""
    desk.console.result({"project": desk.project.name, **asdict(done)}, "\n".join([text, *done.conflicts]))


def _asked(desk: Desk, found: Sequence[Erasure]) -> list[str]:
    """Ask of each erasure whether it goes here too. Returns the keys of those that do."""
    accepted: list[str] = []
    for number, one in enumerate(found, 1):
        desk.console.note(f"{number} of {len(found)}: {erasure_words(one)}")
        said = click.prompt("Erase it here too, for good?", type=click.Choice(["y", "n", "all", "none"]), default="n", err=True)
        if said == "all":
            return [*accepted, *(other.key for other in found[number - 1 :])]
        if said == "none":
            break
        accepted += [one.key] if said == "y" else []
    return accepted


@feedback.command()
@click.pass_context
def stats(ctx: click.Context) -> None:
    """Count the project's feedback."""
    desk = desk_of(ctx)
    found, there = feedback_stats(desk.store, desk.project), amounts(desk.store, desk.project)["reward"]
    rows = [
        ("Judgements", f"{found.judgements}", ", ".join(f"{n} {kind}" for kind, n in found.by_kind.items())),
        ("Comparisons", f"{found.comparisons}", f"and {count(found.ties, 'tie')}"),
        ("To learn from", f"{there.have}", f"{noun(there.have, there.one)}, {there.held_out} more held out"),
        ("Prompts judged", f"{found.judged_prompts}", f"{found.heldout_prompts} of them held out for evaluation"),
        *(("Prompt set", f"{n}", name) for name, n in found.prompt_sets.items()),
    ]
    desk.console.result({"project": desk.project.name, **asdict(found)}, table(rows, (desk.project.name, "", "")))
