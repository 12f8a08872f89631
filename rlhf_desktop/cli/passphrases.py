"""Where a passphrase comes from: the terminal, which does not show it, a file, or stdin. Never an argument or the environment."""

import getpass
import sys
from collections.abc import Callable
from pathlib import Path

import click

from rlhf_desktop.core.encryption import Locked, WrongPassphrase, is_encrypted
from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.operations import encryption, passphrases

_TRIES = 3
_MOST_BYTES = 4096


def unlock_for(workspace: Workspace, file: str | None, note: Callable[[str], None]) -> None:
    """Ask for the passphrase of a workspace that is locked.

    Raises:
        Locked: there is nobody to ask.
        WrongPassphrase: what was given, or typed three times.
    """
    if not encryption.is_locked(workspace):
        return
    if file is not None:
        encryption.unlock(workspace, from_file(file), note)
        return
    if _unlock_remembered(workspace, note):
        return
    if not can_ask():
        raise Locked
    for left in reversed(range(_TRIES)):
        try:
            encryption.unlock(workspace, ask("Passphrase of this workspace: "), note)
            return
        except WrongPassphrase as wrong:
            if not left:
                raise
            note(str(wrong))


def _unlock_remembered(workspace: Workspace, note: Callable[[str], None]) -> bool:
    """With what the keyring remembers, if the user had it remember. Whether that opened it."""
    found = passphrases.remembered(workspace)
    if found is None:
        return False
    try:
        encryption.unlock(workspace, found, note)
    except WrongPassphrase:  # it was changed where the keyring did not hear of it
        return False
    return True


def say_whether_encrypted(workspace: Workspace, path: Path, note: Callable[[str], None]) -> None:
    """Of a file that was just written: whoever encrypts a workspace wants to know what lies outside of it."""
    if not is_encrypted(workspace.root):
        return
    if path.resolve().is_relative_to(workspace.root.resolve()):
        note(f"{path.name} is encrypted as the workspace is. A plain copy: rlhf-desktop encryption open {path} COPY")
    else:
        note(f"{path.name} is not encrypted: it lies outside of the workspace.")


def can_ask() -> bool:
    """Whether somebody sits at a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


def ask(prompt: str) -> str:
    """What is typed, which the terminal does not show."""
    try:
        return getpass.getpass(prompt, stream=sys.stderr)
    except EOFError:
        raise click.Abort from None


def ask_for_file(path: Path) -> str:
    """The passphrase of a file under one of its own. Raises `BadInput` where there is nobody to ask."""
    if not can_ask():
        raise BadInput(
            f"{path.name} is encrypted, and nobody is there to ask.", "Give its passphrase: --bundle-passphrase-file FILE."
        )
    return ask(f"Passphrase of {path.name}: ")


def ask_new(file: str | None) -> str:
    """A new passphrase, typed twice; or a file's. Raises `BadInput` where the two differ, or there is nobody to ask."""
    if file is not None:
        return from_file(file)
    if not can_ask():
        raise BadInput("A passphrase is needed, and nobody is there to ask.", "Put it in a file only you can read, and name that.")
    typed = ask("New passphrase: ")
    if typed != ask("Once more: "):
        raise BadInput("The two are not the same, so nothing was changed.", "Try again.")
    return typed


def from_file(name: str) -> str:
    """The first line of a file, or the next one of stdin.

    Raises:
        BadInput: it cannot be read, or is empty.
    """
    try:
        content = sys.stdin.buffer.readline(_MOST_BYTES) if name == "-" else _head(Path(name).expanduser())
        found = content.decode("utf-8").split("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as problem:
        raise BadInput(
            f"The passphrase cannot be read from {name}.", "Name a text file with it in its first line.", repr(problem)
        ) from None
    if not found:
        raise BadInput(f"There is no passphrase in {name}.", "Write it in the first line.")
    return found


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline(_MOST_BYTES)
