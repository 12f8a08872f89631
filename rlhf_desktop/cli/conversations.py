"""`conversations list | export`: what was said in Chat, and a conversation as a file."""

from pathlib import Path

import click

from rlhf_desktop.cli.common import Group, table
from rlhf_desktop.cli.desk import Desk, desk_of
from rlhf_desktop.cli.passphrases import say_whether_encrypted
from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.operations.conversation_export import export_conversation
from rlhf_desktop.operations.conversations import find_conversations
from rlhf_desktop.store.shelf import ConversationQuery

FILE = click.Path(path_type=Path)


@click.group(cls=Group)
def conversations() -> None:
    """Conversations of Chat: which there are, and one of them as a file."""


@conversations.command("list")
@click.option("--search", default="", metavar="WORDS", help="Only those with these words.")
@click.option("--most", type=click.IntRange(1, 10_000), default=50, show_default=True, help="So many of the newest.")
@click.pass_context
def list_conversations(ctx: click.Context, search: str, most: int) -> None:
    """Show the conversations, the one last changed first."""
    desk = desk_of(ctx)
    page = find_conversations(desk.store, desk.project, ConversationQuery(text=search), limit=most)
    found = [summary.conversation for summary in page.rows[:most]]
    rows = [(c.title, c.folder, c.updated_at[:16].replace("T", " "), c.id) for c in found]
    said = [{"conversation": c.id, "title": c.title, "folder": c.folder, "updated": c.updated_at} for c in found]
    text = table(rows, ("CONVERSATION", "FOLDER", "CHANGED", "ID")) if rows else "No conversations."
    desk.console.result({"conversations": said}, text)


@conversations.command()
@click.argument("conversation")
@click.option("--out", type=FILE, required=True, metavar="FILE", help="FILE.md for Markdown, FILE.json for JSON.")
@click.pass_context
def export(ctx: click.Context, conversation: str, out: Path) -> None:
    """Write a conversation to a file. CONVERSATION is an id or the start of one."""
    desk = desk_of(ctx)
    path = export_conversation(desk.store, desk.workspace, _find(desk, conversation), out)
    say_whether_encrypted(desk.workspace, path, desk.console.note)
    desk.console.result({"out": str(path)}, f"The conversation is in {path}.")


def _find(desk: Desk, start: str) -> str:
    ids = desk.store.conversations.ids_beginning(desk.project.id, start)
    if not ids:
        raise NotFound(f"No conversation begins with “{start}”.", "“conversations list” shows them.")
    if len(ids) > 1:
        raise BadInput(f"Several conversations begin with “{start}”.", "Give more of the id.")
    return ids[0]
