"""`backups` and `restore`."""

import sys
from datetime import UTC, datetime

import click

from rlhf_desktop.cli.common import Command, table
from rlhf_desktop.cli.desk import Desk, desk_of
from rlhf_desktop.cli.windows import window_closed
from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.operations.restoring import (
    Backup,
    Restored,
    as_json,
    backups_of,
    current,
    current_words,
    find_backup,
    held_words,
    made_words,
    open_without_journal,
    restore,
    restored_words,
)
from rlhf_desktop.store.backups import back_up


@click.command(cls=Command)
@click.option("--now", is_flag=True, help="Make one now.")
@click.pass_context
def backups(ctx: click.Context, now: bool) -> None:
    """List the backups of the database with what each holds."""
    desk = desk_of(ctx)
    if now:
        stamp = datetime.now(UTC).strftime("%Y-%m-%d-%H%M%S")
        desk.console.note(f"Made {back_up(desk.store.connection, desk.workspace.backups / f'by-hand-{stamp}.db').name}.")
    found, there = current(desk.workspace), backups_of(desk.workspace)
    rows = [(each.path.name, made_words(each), each.kind, each.problem or held_words(each.contents)) for each in there]
    listed = table(rows, ("Backup", "Made", "Why", "Holds")) if rows else "There are no backups."
    desk.console.result(
        {"database": found.health, "backups": [as_json(each) for each in there]}, f"{current_words(found)}\n\n{listed}"
    )


@click.command("restore", cls=Command)
@click.argument("name", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--no-salvage", is_flag=True, help="Leave out what can be read of a damaged database.")
@click.option("--without-journal", is_flag=True, help="Keep the database, and set a journal aside that does not belong to it.")
@click.option("--start-empty", is_flag=True, help="Begin with an empty database.")
@click.pass_context
def restore_backup(
    ctx: click.Context, name: str | None, yes: bool, no_salvage: bool, without_journal: bool, start_empty: bool
) -> None:
    """Put a backup in the database's place: NAME, or the newest with feedback.

    The database as it is now is kept among the backups.
    """
    if sum((name is not None, without_journal, start_empty)) > 1:
        raise click.UsageError("NAME, --without-journal and --start-empty exclude each other.", ctx)
    desk = desk_of(ctx)
    with window_closed(desk.workspace, "restore"):
        if without_journal:
            done = open_without_journal(desk.workspace)
        else:
            backup = None if start_empty else find_backup(desk.workspace, name)
            _confirm(desk, backup, yes)
            done = restore(desk.workspace, backup, with_salvage=not no_salvage, on_progress=desk.console.progress)
    _say(desk, done)


def _confirm(desk: Desk, backup: Backup | None, yes: bool) -> None:
    comes = "an empty database" if backup is None else f"{backup.path.name}: {held_words(backup.contents)}"
    desk.console.note(f"{current_words(current(desk.workspace))}\nIn its place comes {comes}.")
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadInput("Nothing was restored: it has to be confirmed.", "Add --yes.")
    click.confirm("Restore it?", abort=True, err=True)


def _say(desk: Desk, done: Restored) -> None:
    value = {
        "judgements": done.contents.judgements,
        "conversations": done.contents.conversations,
        "salvaged": done.salvaged,
        "kept": done.kept.name if done.kept else None,
    }
    desk.console.result(value, restored_words(done))
