"""The root command, and what becomes of an error: a sentence with a remedy, never a traceback."""

import importlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

import rlhf_desktop
from rlhf_desktop.cli.common import Group, Options, plain
from rlhf_desktop.core.crash import bug_report
from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.files import is_disk_full
from rlhf_desktop.core.offline import set_guard
from rlhf_desktop.core.paths import Workspace

EXIT_DONE, EXIT_TROUBLE, EXIT_USAGE, EXIT_CTRL_C = 0, 1, 2, 130

_COMMANDS = {
    "demo": "general:demo",
    "check": "general:check",
    "status": "general:status",
    "projects": "projects:projects",
    "backups": "backups:backups",
    "restore": "backups:restore_backup",
    "audit": "audit:audit",
    "encryption": "encryption:encryption",
    "models": "models:models",
    "server": "servers:server",
    "chat": "talk:chat",
    "conversations": "conversations:conversations",
    "generate": "talk:generate",
    "score": "talk:score",
    "feedback": "feedback:feedback",
    "train": "train:train",
    "runs": "runs:runs",
    "evaluate": "evaluate:evaluate",
}

_TEXTS = (
    "--prompt", "--intended-use", "--limits", "--annotator", "--notes", "--title", "--project", "--name", "--answer", "--data",
)  # fmt: skip

OpenWindow = Callable[[Options], int]


class _Root(Group):
    """Imports a command when it is asked for: opening the window, or one command, does not pay for the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's signature)
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name].split(":")
        command = getattr(importlib.import_module(f"rlhf_desktop.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Root, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(rlhf_desktop.__version__, prog_name="rlhf-desktop")
@click.pass_context
def root(ctx: click.Context) -> None:
    """Teach a local language model what a good answer is: chat, rank, train, see it improve.

    Without a command, the window opens.
    """
    options = ctx.ensure_object(Options)
    if ctx.invoked_subcommand is None:
        if options.as_json or options.open_window is None:
            raise click.UsageError("Missing command.", ctx)
        ctx.exit(options.open_window(options))


def run(argv: Sequence[str] | None = None, open_window: OpenWindow | None = None) -> int:
    """Do what the command line asks. Returns the exit code.

    Args:
        argv: The words after the program's name; by default this process's.
        open_window: What to do when there is no command.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    options = Options(as_json="--json" in words, offline="--offline" in words, open_window=open_window)
    if options.offline:
        set_guard(True)  # whatever the command does first
    try:
        code = root.main(words, prog_name="rlhf-desktop", standalone_mode=False, obj=options)
        sys.stdout.flush()
        return int(code or EXIT_DONE)
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_TROUBLE
    except click.ClickException as wrong:
        _say_usage(wrong, options)
        return EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):  # click makes Ctrl+C an Abort, after ending the line
        _say("Stopped.", "Nothing was half-written.", options, lead="")
        return EXIT_CTRL_C
    except Exception as problem:
        trouble = _trouble_of(problem, options.workspace, words)
        _say(trouble.message, trouble.hint, options)
        return EXIT_TROUBLE


def _trouble_of(problem: Exception, workspace: Workspace, words: Sequence[str]) -> AppError:
    """An expected trouble as it is; a full disk in plain words; anything else as a bug with a report."""
    if isinstance(problem, AppError):
        return problem
    if is_disk_full(problem):
        return AppError("The disk is full.", "Nothing was half-written. Free some space and try again.")
    report = write_crash_report(workspace, words, problem)
    sentence = f"Something unexpected went wrong ({type(problem).__name__}). This is a bug; your feedback is safe."
    return AppError(sentence, f"A report is in {report}: please send it with what you did.")


def write_crash_report(workspace: Workspace, words: Sequence[str], problem: BaseException) -> Path:
    """Write where a bug happened to the workspace's logs, or, failing that, among temporary files."""
    text = "\n".join(
        [
            f"RLHF Desktop {rlhf_desktop.__version__}, Python {platform.python_version()}, {platform.platform()}",
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            f"Command: {' '.join(_public(words))}",
            "",
            bug_report(problem),
        ]
    )
    name = f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    for folder in (workspace.root / "logs", Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (folder / name).write_text(text, encoding="utf-8")
        except OSError:
            continue
        return folder / name
    click.echo(text, err=True)  # no disk takes it: better on the screen than nowhere
    return Path(name)


def _public(words: Sequence[str]) -> list[str]:
    """The words of a command without what was typed as a text: a report may be sent to somebody."""
    named = words.index("projects") + 2 if "projects" in words else len(words)  # from there on they are projects' names
    return [
        "…"
        if (place and words[place - 1] in _TEXTS) or (place >= named and not word.startswith("-"))
        else f"{word.split('=')[0]}=…"
        if "=" in word and word.split("=")[0] in _TEXTS
        else word
        for place, word in enumerate(words)
    ]


def _say(message: str, hint: str, options: Options, lead: str = "Error: ") -> None:
    """The sentence and the remedy on stderr; with --json also a document on stdout."""
    click.echo(plain(f"{lead}{message}"), err=True)
    if hint:
        click.echo(plain(hint), err=True)
    if options.as_json:
        document: dict[str, Any] = {"error": {"message": message, "hint": hint}}
        click.echo(json.dumps(document, ensure_ascii=False))


def _say_usage(wrong: click.ClickException, options: Options) -> None:
    command = wrong.ctx.command_path if isinstance(wrong, click.UsageError) and wrong.ctx else "rlhf-desktop"
    _say(wrong.format_message(), f"“{command} --help” shows how it is used.", options)
