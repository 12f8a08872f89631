"""Renders every room to pictures with realistic content, without a screen, a model or a network.

    python packaging/screenshots.py [--size 1280x800] [--out screenshots] [--only train,models]

Each room is drawn in light and dark from a temporary workspace that `screenshot_content` fills.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

import screenshot_content as content  # noqa: E402
from PySide6.QtWidgets import QApplication  # noqa: E402
from screenshot_chat import CHAT_SCENES  # noqa: E402
from screenshot_feedback import FEEDBACK_SCENES  # noqa: E402
from screenshot_locked import LOCKED_SCENES, LOCKED_WINDOWS  # noqa: E402
from screenshot_studio import Scene, Studio  # noqa: E402

from rlhf_desktop.core.files import write_json  # noqa: E402
from rlhf_desktop.core.paths import state_dir  # noqa: E402
from rlhf_desktop.core.runs import Signs  # noqa: E402
from rlhf_desktop.hub.fetching import Transfer  # noqa: E402
from rlhf_desktop.hub.push import PlannedFile, PushPlan  # noqa: E402
from rlhf_desktop.hub.remote import RemoteModel  # noqa: E402
from rlhf_desktop.jobs.device import installation_key  # noqa: E402
from rlhf_desktop.ui.models.cards import BaseCard  # noqa: E402
from rlhf_desktop.ui.models.panels import PublishPanel  # noqa: E402
from rlhf_desktop.ui.widgets.surfaces import widgets_in  # noqa: E402

_SLOW = Signs(silent_s=190.0)
_HUNG = Signs(silent_s=300.0, idle_s=290.0)


def _room(key: str) -> Scene:
    return lambda studio: studio.window.show_room(key)


def _run_page(title: str) -> Scene:
    def scene(studio: Studio) -> None:
        studio.window.show_room("train")
        studio.window.room("train").show_run(studio.story.runs[title].id)

    return scene


def _start_panel(studio: Studio) -> None:
    studio.window.show_room("train")
    room = studio.window.room("train")
    room.show_overview()
    studio.settle()
    room.overview.open_panel("ppo")
    room.overview.panel._fold.setChecked(True)


def _blind(studio: Studio) -> None:
    """A blind pair."""
    studio.window.show_room("evaluate")
    studio.window.room("evaluate").go_on(studio.story.evaluations["under way"])


def _result(which: str) -> Scene:
    def scene(studio: Studio) -> None:
        studio.window.show_room("evaluate")
        studio.window.room("evaluate").show_result(studio.story.evaluations[which])

    return scene


def _effects(studio: Studio) -> None:
    _result("decided")(studio)
    studio.settle()
    page = studio.window.room("evaluate").result
    page.effects.show_effects(content.side_effects())
    studio.settle()
    page.verticalScrollBar().setValue(page.effects.y())


def _evaluate(studio: Studio) -> None:
    studio.window.show_room("evaluate")
    studio.window.room("evaluate").show_home()


def _compare_runs(studio: Studio) -> None:
    studio.window.show_room("train")
    runs = studio.story.runs
    studio.window.room("train").compare([runs[name].id for name in ("Kinder, round 1", "Kinder, round 2")])


def _about_run(studio: Studio) -> None:
    _run_page("Kinder, round 1")(studio)
    studio.settle()
    page = studio.window.room("train").page
    page.about.fold.setChecked(True)
    studio.settle()
    page.verticalScrollBar().setValue(page.about.y())


def _troubled_run(signs: Signs, asked: bool, *, on_page: bool) -> Scene:
    """The run under way without a step for long, or asked to pause: in the list, or on its page, asked whether to end it."""

    def scene(studio: Studio) -> None:
        run = studio.story.runs["Kinder, round 2"]
        run.append_control("pause" if asked else "resume")
        run.write_status(run.status().model_copy(update={"signs": signs}))
        studio.window.show_room("train")
        room = studio.window.room("train")
        room.show_overview()
        room.refresh()
        if on_page:
            room.show_run(run.id)
            studio.settle()
            room.page._silent.button.click()
        studio.settle()

    return scene


def _reward(studio: Studio) -> None:
    studio.window.show_room("evaluate")
    studio.window.room("evaluate").show_result_of(studio.story.runs["My preferences"].id)


def _hub_search(studio: Studio) -> None:
    """What the Hub has, and a download under way."""
    studio.window.show_room("models")
    room = studio.window.room("models")
    found = [
        RemoteModel("Qwen/Qwen2.5-1.5B-Instruct", "main", "apache-2.0", False, False, 9, 1_540_000_000, 3_090_000_000),
        RemoteModel("meta-llama/Llama-3.2-3B-Instruct", "main", "llama3.2", True, False, 8, 3_210_000_000, 6_430_000_000),
        RemoteModel("someone/Big-70B-Instruct", "main", "", False, False, 2, 70_000_000_000, 140_000_000_000),
    ]
    room.adding.show()
    room.adding.query.setText("instruct")
    room.adding.show_results(found, 16e9, "instruct")
    room.adding.show_transfer(Transfer(1_210_000_000, 3_090_000_000, "model.safetensors"), ", 3 min left")


def _publish(studio: Studio) -> None:
    """An adapter's publishing panel, filled in and previewed."""
    studio.window.show_room("models")
    room = studio.window.room("models")
    studio.settle()
    room.adding.hide()
    card = widgets_in(room._cards, BaseCard)[0]
    line = list(card.lines.values())[1]
    panel = PublishPanel("Kinder, round 1", studio.context.session.network, has_token=False)
    room.sharing._place(line, panel)
    panel.form.repo.setText("amina/kinder")
    panel.form.licence.setCurrentText("apache-2.0")
    panel.form.use.setPlainText("Answering complaints to a support desk, in English and Arabic.")
    files = (
        PlannedFile("README.md", b"# Kinder, round 1\n\nA LoRA adapter for SmolLM2-135M-Instruct."),
        PlannedFile("adapter_model.safetensors", bytes(10**6)),
    )
    panel.show_plan(PushPlan("amina/kinder", "model", files))


def _devices(studio: Studio) -> None:
    """Settings on a computer with two cards."""
    probed = {**content.DEVICE, "devices": content.WORKSTATION}
    write_json(state_dir() / "device.json", {"key": installation_key(), "device": probed})
    studio.window.show_room("settings")
    studio.settle()
    card = studio.window.room("settings").device
    page = studio.window.room("settings").widget()
    page.verticalScrollBar().setValue(card.y())


def _palette(studio: Studio) -> None:
    """Find anything, over a room."""
    studio.window.show_room("settings")
    studio.window.palette_view.open()
    studio.window.palette_view.field.setText("blender")


def _welcome(studio: Studio) -> None:
    studio.window.palette_view.hide()
    studio.desk.show_welcome()


def _keys(studio: Studio) -> None:
    studio.window.show_room("label")
    studio.window.keys.open("label")


def _projects(action: str = "") -> Scene:
    """All projects, some of them put away; with a question about the last one open."""

    def scene(studio: Studio) -> None:
        known = studio.store.projects
        for name, put_away in (("دعم العملاء & R&D", None), ("Old experiments", known.archive), ("Ward round", known.delete)):
            if name not in {project.name for project in (*known.all(), *known.archived(), *known.deleted())}:
                made = known.create(name)
                put_away and put_away(made.id)
        studio.desk.projects.show_projects()
        studio.settle()
        page = studio.desk.projects._page
        if action:
            list(page.cards.values())[1].ask(action)

    return scene


SCENES: dict[str, Scene] = {
    **FEEDBACK_SCENES,
    **CHAT_SCENES,
    "train": _room("train"),
    "train-start": _start_panel,
    "train-live": _run_page("Kinder, round 2"),
    "train-done": _run_page("Kinder, round 1"),
    "train-interrupted": _run_page("Quick try"),
    "train-about": _about_run,
    "train-compare": _compare_runs,
    "evaluate": _evaluate,
    "evaluate-blind": _blind,
    "evaluate-better": _result("decided"),
    "evaluate-effects": _effects,
    "evaluate-reward": _reward,
    "evaluate-undecided": _result("under way"),
    "models": _room("models"),
    "models-add": _hub_search,
    "models-publish": _publish,
    "settings": _room("settings"),
    "settings-devices": _devices,
    **LOCKED_SCENES,
    "palette": _palette,
    "keys": _keys,
    "welcome": _welcome,
    "projects": _projects(),
    "projects-delete": _projects("delete"),
    "projects-new": lambda studio: studio.desk.projects.show_new(),
    # last: they change the run under way
    "run-slow-list": _troubled_run(_SLOW, False, on_page=False),
    "run-slow": _troubled_run(_SLOW, False, on_page=True),
    "run-hung": _troubled_run(_HUNG, False, on_page=True),
    "run-pausing": _troubled_run(Signs(), True, on_page=True),
    "run-pausing-list": _troubled_run(Signs(), True, on_page=False),
}


def main() -> None:
    """Draw the pictures asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="1280x800")
    parser.add_argument("--out", type=Path, default=Path("screenshots"))
    parser.add_argument("--only", default="")
    parser.add_argument("--scale", type=float, default=1.0, help="of the text, for instance 1.5")
    asked = parser.parse_args()
    width, height = (int(part) for part in asked.size.split("x"))
    parts = asked.only.split(",")
    wanted = [name for name in (*SCENES, *LOCKED_WINDOWS) if not asked.only or any(name.startswith(part) for part in parts)]
    asked.out.mkdir(parents=True, exist_ok=True)
    suffix = "" if asked.scale == 1 else f"-{asked.scale:.0%}".replace("%", "")
    app = QApplication([])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RLHF_DESKTOP_STATE"] = str(Path(folder) / "state")
        studio = Studio(app, Path(folder) / "workspace", (width, height), asked.scale)
        try:
            for name in wanted:
                window = studio.window
                if name in SCENES:
                    SCENES[name](studio)
                else:
                    window = LOCKED_WINDOWS[name](studio)
                    window.resize(width, height)
                    window.show()
                for mode in ("light", "dark"):
                    studio.theme.set_mode(mode)
                    studio.settle()
                    studio.show_loaded()
                    window.grab().save(str(asked.out / f"{name}-{asked.size}{suffix}-{mode}.png"))
                    print(f"{name} {mode}", flush=True)
        finally:
            studio.close()


if __name__ == "__main__":
    main()
