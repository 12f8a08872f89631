"""`audit` and `audit verify`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from rlhf_desktop.cli.common import Command, Group, Options, table
from rlhf_desktop.cli.desk import Desk, desk_of
from rlhf_desktop.core.errors import Damaged
from rlhf_desktop.core.words import count
from rlhf_desktop.operations.audit import Line, act_named, check_log, lines
from rlhf_desktop.store.audit import Entry, Head

_SHOWN = 50
_HASH_CHARS = 12  # of a hash in a list


@click.group("audit", cls=Group, invoke_without_command=True)
@click.option("--act", "acts", multiple=True, metavar="ACT", help="Only this: judged, exported, trained, project, … (repeatable).")
@click.option("--who", default="", metavar="NAME", help="Only what this person did.")
@click.option("--before", type=click.IntRange(min=1), metavar="NUMBER", help="Only entries before this one.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=_SHOWN, show_default=True, help="At most so many.")
@click.pass_context
def audit(ctx: click.Context, acts: tuple[str, ...], who: str, before: int | None, limit: int) -> None:
    """Show who did what and when, newest first; with --project only in that project.

    “audit verify” checks that no entry was changed, left out or put in between.
    """
    if ctx.invoked_subcommand is not None:
        return
    desk = desk_of(ctx)
    project = desk.project.id if ctx.ensure_object(Options).project else ""
    wanted = [name for act in acts for name in act_named(act)]
    found = desk.store.audit.entries(acts=wanted, who=who, project=project, before=before, limit=limit)
    shown, head = lines(desk.store, found), desk.store.audit.head()
    value = {"head": str(head), "entries": [_value(entry, line) for entry, line in zip(found, shown, strict=True)]}
    desk.console.result(value, _listed(shown, head, limit))


def _value(entry: Entry, line: Line) -> dict[str, Any]:
    """All that is hashed, as it is hashed, and the names."""
    return {"entry": {name: value for name, value in vars(entry).items() if name != "hash"}, "hash": entry.hash, "who": line.who}


def _listed(shown: Sequence[Line], head: Head, limit: int) -> str:
    if not shown:
        return "No entries."
    rows = [(f"{e.seq}", e.at[:19].replace("T", " "), e.who, e.act, e.project, e.facts, e.hash[:_HASH_CHARS]) for e in shown]
    more = f"\nOlder ones: --before {shown[-1].seq}" if len(shown) == limit and shown[-1].seq > 1 else ""
    return f"{table(rows, ('NO.', 'WHEN (UTC)', 'WHO', 'WHAT', 'PROJECT', 'OF IT', 'HASH'))}{more}\nHead: {head}"


@audit.command("verify", cls=Command)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@click.option("--head", "heads", multiple=True, metavar="HASH[:NUMBER]", help="A head that was exported or noted (repeatable).")
@click.pass_context
def verify(ctx: click.Context, files: tuple[Path, ...], heads: tuple[str, ...]) -> None:
    """Check that every entry fits on the one before, and that exported heads are among them.

    FILE is a bundle, a report or a published card: each names the head at its time. Without one, entries that are missing at the
    end, or a log that was written anew as a whole, cannot be noticed.
    """
    desk = desk_of(ctx)
    found = check_log(desk.store, [Head.read(text) for text in heads], files)
    if found.problems:
        at = f"The first entry that does not fit is number {found.chain.broken_at:,}. " if found.chain.broken_at else ""
        raise Damaged(f"The audit log does not hold: {found.sentence}", f"{at}Compare it with a backup (“rlhf-desktop backups”).")
    head = str(found.chain.head) if found.chain.head else None
    value: dict[str, Any] = {"entries": found.chain.entries, "head": head, "heads_found": found.known, "problems": []}
    desk.console.result(value, f"{found.sentence}{_said(desk, head)}")


def _said(desk: Desk, head: str | None) -> str:
    if head is None:
        return ""
    people = count(len(desk.store.audit.people()), "person", "people")
    return f"\nHead: {head} ({people} named)\nKeep it elsewhere: only so can a log be noticed that was written anew."
