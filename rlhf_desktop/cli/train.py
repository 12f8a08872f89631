"""`train sft | reward | ppo | dpo | kto`: start a run and watch it. Flags and help come from the recipes."""

from pathlib import Path
from typing import Any

import click

from rlhf_desktop.cli.common import Command, Group
from rlhf_desktop.cli.desk import Desk, desk_of
from rlhf_desktop.cli.follow import finish_with, follow_run
from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.recipes import ALGORITHMS, SETTINGS, Algorithm, Setting, describe
from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.jobs.adapters import list_adapters
from rlhf_desktop.operations.preflight import Preflight, refuse_early, start_checked
from rlhf_desktop.operations.workload import RunPlan

FILE = click.Path(path_type=Path)


@click.group(cls=Group)
def train() -> None:
    """Let the model learn from the project's feedback."""


def _command(algorithm: Algorithm) -> click.Command:
    settings = describe(algorithm)

    @click.pass_context
    def start(ctx: click.Context, /, **given: Any) -> None:
        values = {s.name: given[s.name] for s in settings if given[s.name] is not None} | _pairs(given["set_"])
        _start(desk_of(ctx), algorithm, values, given)

    help_text = f"{SETTINGS[algorithm].__doc__}\n\nEvery setting can also be given as --set NAME=VALUE."
    return Command(algorithm, callback=start, params=[*_options(algorithm), *map(_setting_option, settings)], help=help_text)


def _options(algorithm: Algorithm) -> list[click.Parameter]:
    options: list[click.Parameter] = [
        click.Option(["--adapter"], metavar="START", help="Train on top of this: name, run id or folder (default: the base)."),
        click.Option(["--title"], default="", help="What the result is called."),
        click.Option(["--detach"], is_flag=True, help="Queue the run and return at once."),
        click.Option(["--set", "set_"], multiple=True, metavar="KEY=VALUE", help="A setting; may be given several times."),
    ]
    if algorithm == "ppo":
        newest = "the project's newest on this base model"
        options.insert(
            1, click.Option(["--reward"], metavar="A", help=f"Reward model: name, run id or folder (default: {newest}).")
        )
        options.insert(2, click.Option(["--prompts"], type=FILE, metavar="FILE", help="Practise on these, not the project's."))
    else:
        what = "Learn from this file instead of the project's feedback."
        options.insert(1, click.Option(["--data"], type=FILE, metavar="FILE", help=what))
    return options


def _setting_option(setting: Setting) -> click.Option:
    """A flag; its value is checked by the recipe, so that flag, form and --set say the same."""
    unit = f" ({setting.unit})" if setting.unit else ""
    choices = f" One of: {', '.join(setting.choices)}." if setting.choices else ""
    text = f"{setting.help}{unit}{choices} [default: {setting.default}]"
    return click.Option(["--" + setting.name.replace("_", "-"), setting.name], metavar=setting.type.upper(), help=text)


def _pairs(texts: tuple[str, ...]) -> dict[str, str]:
    """The settings of `--set`; the last of a name wins.

    Raises:
        BadInput: one is not KEY=VALUE.
    """
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise BadInput(f"“{text}” is not a setting.", "Write it as NAME=VALUE, such as --set epochs=2.")
        values[name.strip().replace("-", "_")] = value.strip()
    return values


def _start(desk: Desk, algorithm: Algorithm, settings: dict[str, Any], given: dict[str, Any]) -> None:
    files = {"data_file": given.get("data"), "prompts_file": given.get("prompts")}
    if desk.known_base is None:  # else the preflight says it as soon
        refuse_early(desk.store, desk.workspace, desk.project, algorithm, settings, reward=given.get("reward"), **files)
    start = desk.adapter(given["adapter"])
    reward = _reward(desk, given["reward"]) if algorithm == "ppo" else None
    run = start_checked(
        desk.store,
        desk.queue,
        desk.project,
        RunPlan(algorithm, desk.base, settings, start, reward),
        title=given["title"],
        **files,
        on_look=lambda found: _say(desk, found),
    )
    title = run.config().title
    if given["detach"]:
        text = f"“{title}” is queued. Watch it with: rlhf-desktop runs follow {run.id}"
        desk.console.result({"run": run.id, "state": run.state().state}, text)
        return
    desk.console.note(f"“{title}” is queued as {run.id}. Ctrl+C stops watching; the run goes on.")
    follow_run(desk, run)
    finish_with(desk, run)


def _say(desk: Desk, found: Preflight) -> None:
    """Say what the run can live with, and what it will take."""
    for note in found.notes:
        desk.console.note(f"{note.sentence} {note.remedy}")
    if found.estimate:
        desk.console.note(found.estimate.sentence)


def _reward(desk: Desk, name: str | None) -> AdapterRef | None:
    """The reward model named, else the project's newest that fits the base model."""
    if name:
        return desk.adapter(name, "reward")
    here = [info for info in list_adapters(desk.workspace, "reward") if info.project_id == desk.project.id]
    fitting = [info for info in here if info.ref.base_hash == desk.base.hash]
    if fitting:
        desk.console.note(f"Practising against the reward model “{fitting[0].title}”.")
    return fitting[0].ref if fitting else None


for _algorithm in ALGORITHMS:
    train.add_command(_command(_algorithm))
