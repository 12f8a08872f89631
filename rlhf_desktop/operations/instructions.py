"""Saved instructions: what a project's conversations may begin with, by name."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.store.database import Store

LONGEST_NAME = 80
_KEY = "saved_instructions"


@dataclass(frozen=True)
class Instructions:
    """A system message under a name."""

    name: str
    text: str


def saved_instructions(store: Store, project: Project) -> list[Instructions]:
    """Those of a project, by name."""
    return [Instructions(**row) for row in store.settings.get(_KEY, [], project.id)]


def find_instructions(store: Store, project: Project, name: str) -> Instructions:
    """Those with this name, however it is cased.

    Raises:
        NotFound: there are none; says which there are.
    """
    found = saved_instructions(store, project)
    for one in found:
        if _same(one.name, name):
            return one
    names = ", ".join(f"“{one.name}”" for one in found)
    raise NotFound(f"No instructions are saved as “{name}”.", f"Saved are: {names}." if found else "Save some in Chat first.")


def save_instructions(store: Store, project: Project, name: str, text: str) -> Instructions:
    """Save a text under a name, in place of what has that name.

    Raises:
        BadInput: name or text is empty, or the name is too long.
    """
    made = Instructions(_checked(name), text.strip())
    if not made.text:
        raise BadInput("There are no instructions to save.", "Write them first.")
    with store.connection.transaction():
        others = [one for one in saved_instructions(store, project) if not _same(one.name, made.name)]
        _keep(store, project, [*others, made])
    return made


def rename_instructions(store: Store, project: Project, name: str, new: str) -> None:
    """Give saved instructions another name.

    Raises:
        BadInput: the name is empty, too long or taken.
        NotFound: there are none with the old name.
    """
    new = _checked(new)
    with store.connection.transaction():
        chosen = find_instructions(store, project, name)
        others = [one for one in saved_instructions(store, project) if one != chosen]
        if any(_same(one.name, new) for one in others):
            raise BadInput(f"Other instructions are saved as “{new}”.", "Choose another name.")
        _keep(store, project, [*others, Instructions(new, chosen.text)])


def delete_instructions(store: Store, project: Project, name: str) -> Instructions:
    """Delete saved instructions. Conversations that began with them keep them. Returns them, to be saved again."""
    with store.connection.transaction():
        gone = find_instructions(store, project, name)
        _keep(store, project, [one for one in saved_instructions(store, project) if one != gone])
    return gone


def _keep(store: Store, project: Project, saved: Sequence[Instructions]) -> None:
    in_order = sorted(saved, key=lambda one: one.name.casefold())
    store.settings.set(_KEY, [asdict(one) for one in in_order] or None, project.id)


def _checked(name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise BadInput("The instructions need a name.", "Write a name, then save.")
    if len(name) > LONGEST_NAME:
        raise BadInput(f"This name is longer than {LONGEST_NAME} characters.", "Choose a shorter one.")
    return name


def _same(one: str, other: str) -> bool:
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()
