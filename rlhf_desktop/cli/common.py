"""What every command shares: the global options, accepted anywhere on the line, and where words and JSON go."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from rlhf_desktop.core.numbers import with_point
from rlhf_desktop.core.paths import Workspace, default_workspace
from rlhf_desktop.core.progress import Step

if TYPE_CHECKING:
    from rlhf_desktop.operations.generation import BatchProgress

_REDRAW_S = 0.2
_PLAIN_LINE_S = 10.0  # between progress lines when nobody watches a terminal


_CONTROLS = {code: "\N{REPLACEMENT CHARACTER}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


def plain(text: str) -> str:
    """A text as a terminal may get it: a model's, a file's or a colleague's words must not move its cursor or title."""
    return text.translate(_CONTROLS)


class Decimal(click.FloatRange):
    """A number with decimals after a point or a comma."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number typed."""
        typed: Any = with_point(value) if isinstance(value, str) else value
        return super().convert(typed, param, ctx)


@dataclass
class Options:
    """The global options of one call, filled in wherever they stand on the line."""

    workspace_root: Path | None = None
    project: str | None = None
    model: str | None = None
    device: str | None = None
    quantization: Literal["none", "4bit"] | None = None
    offline: bool = False
    passphrase_file: str | None = None  # "-": the first line of stdin
    as_json: bool = False
    open_window: "Callable[[Options], int] | None" = None  # what to do when there is no command

    @property
    def workspace(self) -> Workspace:
        """The workspace named, else the user's own."""
        return Workspace(self.workspace_root.expanduser().resolve()) if self.workspace_root else default_workspace()


@dataclass
class Console:
    """Where words go: results to stdout, progress to stderr; with --json stdout gets one document and nothing else."""

    as_json: bool
    _width: int = field(default=0, init=False)
    _drawn_s: float = field(default=0.0, init=False)
    _step: str = field(default="", init=False)

    def say(self, text: str = "") -> None:
        """A line for a reader; progress-like with --json, so to stderr."""
        self.end_progress()
        click.echo(plain(text), err=self.as_json)

    def note(self, text: str) -> None:
        """A line that is not the result. A step that goes on is said once."""
        if isinstance(text, Step) and text == self._step:
            return
        self._step = text
        self.end_progress()
        click.echo(plain(text), err=True)

    def result(self, value: Any, text: str = "") -> None:
        """The one result: as JSON, or in words."""
        self.end_progress()
        if self.as_json:
            click.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))
        elif text:
            click.echo(plain(text))

    def progress(self, text: str) -> None:
        """Replace the progress line on a terminal; elsewhere a plain line now and then."""
        now, live = time.monotonic(), sys.stderr.isatty()
        if self._drawn_s and now - self._drawn_s < (_REDRAW_S if live else _PLAIN_LINE_S):
            return
        self._drawn_s, text = now, plain(text)
        if live:
            text = text[: max(20, shutil.get_terminal_size().columns - 1)]
            click.echo("\r" + text.ljust(self._width), err=True, nl=False)
            self._width = len(text)
        else:
            click.echo(text, err=True)

    def batch(self, what: str) -> "BatchLine":
        """A progress callback for a batch of answers."""
        return BatchLine(self, what)

    def end_progress(self) -> None:
        """Leave the progress line standing and start a fresh one."""
        if self._width:
            click.echo("", err=True)
        self._width, self._drawn_s = 0, 0.0


@dataclass(frozen=True)
class BatchLine:
    """Says how far a batch is: "writing answers 12 of 64, 40 s left"."""

    console: Console
    what: str

    def __call__(self, progress: "BatchProgress") -> None:
        """Draw it."""
        left = f", {duration(progress.eta_s)} left" if progress.eta_s is not None and progress.done < progress.total else ""
        self.console.progress(f"{self.what} {progress.done} of {progress.total}{left}")


def duration(seconds: float) -> str:
    """A length of time as people say it: "40 s", "6 min", "1 h 20 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _keep(name: str) -> Any:
    """A click callback that stores a global option, if it was given here."""

    def callback(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
        options = ctx.ensure_object(Options)
        if value not in (None, False):
            setattr(options, name, value)

    return callback


def holding(command: Any) -> Any:
    """Adds the option that says how a command that asks the model holds it in memory."""
    text = "4bit holds the model in a quarter of the memory (default: as chosen for the model, else as the adapter was trained)."
    kinds = click.Choice(["none", "4bit"])
    return click.option("--quantization", type=kinds, expose_value=False, callback=_keep("quantization"), help=text)(command)


def global_options() -> list[click.Option]:
    """The options that stand before or after any command. Names given later win."""
    return [
        _option("workspace_root", "--workspace", "The folder for everything.", type=click.Path(path_type=Path), metavar="DIR"),
        _option("project", "--project", "Which project (default: the last used).", metavar="NAME"),
        _option("model", "--model", "Which base model (default: the project's, else the starter).", metavar="NAME"),
        _option("device", "--device", "Where models compute: auto, cpu, cuda:1, a card's UUID or part of its name.", metavar="D"),
        _option("passphrase_file", "--passphrase-file", "The passphrase of an encrypted workspace; “-”: stdin.", metavar="FILE"),
        _option("offline", "--offline", "Never use the network.", is_flag=True),
        _option("as_json", "--json", "Print one JSON document on stdout, and nothing else there.", is_flag=True),
    ]


def _option(name: str, flag: str, text: str, **more: Any) -> click.Option:
    return click.Option([flag, name], expose_value=False, callback=_keep(name), help=text, **more)


class Command(click.Command):
    """A command that takes the global options too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *global_options()]


class Group(click.Group):
    """A group whose commands take the global options, and that takes them itself."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *global_options()]


def table(rows: Sequence[Sequence[str]], headings: Sequence[str]) -> str:
    """Rows in columns, as wide as they need to be."""
    everything = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in everything) for column in range(len(headings))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in everything)
