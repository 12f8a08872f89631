"""A conversation as a file to read, keep or open elsewhere: Markdown or JSON. The branch that is shown goes in."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.files import write_atomic
from rlhf_desktop.core.messages import Role
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.sealing import seal
from rlhf_desktop.feedback.conversations import MessageNode, Tree
from rlhf_desktop.store.database import Store

SPEAKERS: dict[Role, str] = {"system": "System", "user": "User", "assistant": "Assistant"}
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)


@dataclass(frozen=True)
class Said:
    """One message of an exported conversation. `model` is who wrote it, "" for a person."""

    role: Role
    text: str
    model: str
    created_at: str
    thought: str = ""
    cut: bool = False

    @property
    def speaker(self) -> str:
        """Who speaks, as a heading says it."""
        return SPEAKERS[self.role]


@dataclass(frozen=True)
class Transcript:
    """A conversation, one branch of it."""

    title: str
    said: tuple[Said, ...]


def transcript(store: Store, conversation_id: str) -> Transcript:
    """The branch of a conversation that is shown.

    Raises:
        NotFound: there is no such conversation.
        BadInput: nothing has been said in it.
    """
    tree = store.conversations.tree(conversation_id)
    path = tree.active_path()
    if not path:
        raise BadInput("Nothing has been said in this conversation yet.", "Write a message first.")
    names = {key: g.adapter_name or g.model_name for key, g in store.conversations.generators(_generators(path)).items()}
    return Transcript(_title(tree), tuple(_said(node, names.get(node.generator_id or "", "")) for node in path))


def _generators(path: Sequence[MessageNode]) -> set[str]:
    return {node.generator_id for node in path if node.generator_id}


def _title(tree: Tree) -> str:
    return tree.conversation.title or "Conversation"


def _said(node: MessageNode, model: str) -> Said:
    return Said(node.role, node.content, model, node.created_at, node.thought, node.finish in ("length", "cancelled"))


def as_markdown(found: Transcript) -> str:
    """One heading a message, as the importer and other programs read it back; thoughts are left out."""
    parts = [f"# {found.title}"] + [f"## {said.speaker}\n\n{closed(said.text)}" for said in found.said]
    return "\n\n".join(parts) + "\n"


def closed(text: str) -> str:
    """A text whose last block of code is closed: else all that follows would be in it."""
    opened = ""
    for mark in _FENCE.findall(text):
        if not opened:
            opened = mark
        elif mark.startswith(opened[0] * len(opened)):
            opened = ""
    return f"{text.rstrip()}\n{opened}" if opened else text.strip()


def as_json(found: Transcript) -> str:
    """`messages` as chat models take them, each with who wrote it."""
    messages = [{"role": said.role, "content": said.text, **_more(said)} for said in found.said]
    return json.dumps({"title": found.title, "messages": messages}, ensure_ascii=False, indent=2) + "\n"


def _more(said: Said) -> dict[str, object]:
    more = {"model": said.model, "thought": said.thought, "cut": said.cut, "created_at": said.created_at}
    return {name: value for name, value in more.items() if value}


FORM = "conversation"  # in the list of files that left
ANY_ROW = 2**62  # a conversation may hold what is judged only later
WRITERS = {".md": as_markdown, ".json": as_json}


def export_conversation(store: Store, workspace: Workspace, conversation_id: str, path: Path) -> Path:
    """Write a conversation to a file; its ending says in which form.

    Raises:
        BadInput: the ending is none of those known, or nothing has been said.
    """
    write = WRITERS.get(path.suffix.lower())
    if write is None:
        raise BadInput(f"A conversation cannot be written as “{path.suffix or path.name}”.", "Name the file .md or .json.")
    write_atomic(path, write(transcript(store, conversation_id)))
    remember_export(store, workspace, conversation_id, path)
    return path


def remember_export(store: Store, workspace: Workspace, conversation_id: str, path: Path) -> None:
    """An erase names the file if it holds what goes, also what was judged later; files in the workspace it cleans itself.

    There they are sealed too, where the workspace is encrypted.
    """
    if not path.resolve().is_relative_to(workspace.root.resolve()):
        store.exports.note(store.conversations.get(conversation_id).project_id, path, FORM, ANY_ROW)
    else:
        seal(path)


def file_name(title: str, suffix: str = ".md") -> str:
    """A name for the file that every system takes."""
    plain = re.sub(r'[\\/:*?"<>|\x00-\x1f]+', " ", title)
    return (" ".join(plain.split()).strip(". ")[:60].strip() or "Conversation") + suffix
