"""`encryption`: whether the workspace is encrypted, and create, change or remove its passphrase."""

import sys
from pathlib import Path

import click

from rlhf_desktop.cli.common import Command, Group
from rlhf_desktop.cli.desk import Desk, desk_of
from rlhf_desktop.cli.passphrases import ask, ask_new, can_ask, from_file, say_whether_encrypted
from rlhf_desktop.cli.windows import window_closed
from rlhf_desktop.core.encryption import Locked, check_passphrase
from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.operations import encryption as encrypting
from rlhf_desktop.operations import passphrases

WARNING = (
    "There is no way back without the passphrase: nobody can recover it, and nothing of this workspace can be read without it. "
    "Write it down, and keep that in a safe place."
)


@click.group(cls=Group)
def encryption() -> None:
    """Encrypt the workspace with a passphrase."""


@encryption.command("status", cls=Command)
@click.pass_context
def show(ctx: click.Context) -> None:
    """Say whether the workspace is encrypted."""
    desk = desk_of(ctx)
    found = encrypting.status(desk.locked_workspace)
    plain = [str(path.relative_to(desk.locked_workspace.root)) for path in encrypting.plain_files(desk.locked_workspace)]
    value = {"encrypted": found.encrypted, "state": found.state, "possible": found.possible, "plain_files": plain}
    desk.console.result(value, "\n".join([_words(found), *_plain_words(plain)]))


def _plain_words(plain: list[str]) -> list[str]:
    if not plain:
        return []
    some = ", ".join(plain[:5]) + (", …" if len(plain) > 5 else "")
    return [f"Not encrypted in it: {some}. What a run under way needs is encrypted when it ends; what you put there is yours."]


def _words(found: encrypting.Status) -> str:
    if not found.encrypted:
        return "This workspace is not encrypted." + (
            "" if found.possible else " sqlcipher3, which encrypting needs, is not installed."
        )
    if found.state == "on":
        return "This workspace is encrypted."
    left = "Encrypting this workspace" if found.state == "encrypting" else "Removing the encryption of this workspace"
    return f"{left} was cut short; it is finished when the passphrase is given next."


@encryption.command("create", cls=Command)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def create(ctx: click.Context, yes: bool) -> None:
    """Encrypt the workspace, with everything that is in it.

    The passphrase is asked for on the terminal, or read from --passphrase-file.
    """
    desk = desk_of(ctx)
    workspace = desk.locked_workspace
    if encrypting.status(workspace).encrypted:
        raise BadInput("This workspace is encrypted already.", "“rlhf-desktop encryption change” changes its passphrase.")
    _confirm(desk, WARNING, yes)
    passphrase = ask_new(desk.passphrase_file)
    with window_closed(workspace, "encrypt it"):
        encrypting.create(workspace, passphrase, desk.console.progress)
    desk.console.result({"encrypted": True}, "This workspace is encrypted now.")


@encryption.command("change", cls=Command)
@click.option("--new-passphrase-file", metavar="FILE", help="The new one; “-”: stdin.")
@click.pass_context
def change(ctx: click.Context, new_passphrase_file: str | None) -> None:
    """Change the passphrase. The old one opens nothing from then on."""
    desk = desk_of(ctx)
    old = _present(desk)
    new = ask_new(new_passphrase_file)
    check_passphrase(new)
    encrypting.change(desk.locked_workspace, old, new)
    if passphrases.remembered(desk.locked_workspace) is not None:
        passphrases.remember(desk.locked_workspace, new)
    desk.console.result(
        {"encrypted": True}, "The passphrase has been changed. Copies of the workspace made before keep the old one."
    )


@encryption.command("remove", cls=Command)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def remove(ctx: click.Context, yes: bool) -> None:
    """Write everything in plain again, for whoever can read this disk."""
    desk = desk_of(ctx)
    workspace = desk.locked_workspace
    passphrase = _present(desk)
    _confirm(desk, "Afterwards everything in this workspace can be read without a passphrase.", yes)
    with window_closed(workspace, "remove its encryption"):
        passphrases.forget(workspace)
        encrypting.remove(workspace, passphrase, desk.console.progress)
    desk.console.result({"encrypted": False}, "This workspace is not encrypted any more.")


@encryption.command("remember", cls=Command)
@click.pass_context
def remember(ctx: click.Context) -> None:
    """Have this computer's keyring remember the passphrase, for whoever can use your account."""
    desk = desk_of(ctx)
    passphrase = _present(desk)
    encrypting.unlock(desk.locked_workspace, passphrase)
    if not passphrases.remember(desk.locked_workspace, passphrase):
        raise BadInput("This computer has no keyring, so the passphrase is not remembered.", "It is asked for each time.")
    desk.console.result({"remembered": True}, "The keyring remembers the passphrase; “rlhf-desktop encryption forget” undoes that.")


@encryption.command("forget", cls=Command)
@click.pass_context
def forget(ctx: click.Context) -> None:
    """Have the keyring forget the passphrase."""
    desk = desk_of(ctx)
    passphrases.forget(desk.locked_workspace)
    desk.console.result({"remembered": False}, "The keyring does not remember the passphrase.")


@encryption.command("open", cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("copy", type=click.Path(path_type=Path))
@click.pass_context
def open_file(ctx: click.Context, file: Path, copy: Path) -> None:
    """Write a plain COPY of a report or export that lies encrypted in the workspace."""
    desk = desk_of(ctx)
    workspace = desk.workspace
    encrypting.open_copy(file, copy)
    say_whether_encrypted(workspace, copy, desk.console.note)
    desk.console.result({"out": str(copy)}, f"The copy is in {copy}.")


def _present(desk: Desk) -> str:
    """The passphrase there is now."""
    if not encrypting.status(desk.locked_workspace).encrypted:
        raise BadInput("This workspace is not encrypted.", "“rlhf-desktop encryption create” encrypts it.")
    if desk.passphrase_file is not None:
        return from_file(desk.passphrase_file)
    if not can_ask():
        raise Locked
    return ask("Passphrase of this workspace: ")


def _confirm(desk: Desk, words: str, yes: bool) -> None:
    desk.console.note(words)
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadInput("Nothing was changed: it has to be confirmed.", "Add --yes.")
    click.confirm("Go on?", abort=True, err=True)
