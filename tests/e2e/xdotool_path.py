"""Real key presses through an X server: 30 blind pairs and a few items of Label, by keyboard alone, held against the database.

    xvfb-run -s "-screen 0 1280x800x24" python tests/e2e/xdotool_path.py --out FOLDER [--pairs 30]

Unlike the other paths nothing is sent to a widget: xdotool presses keys, the X server gives them to the window that has the input
focus, and Qt finds the control. A fake worker answers, so that it takes a minute.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gui"))

from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication
from run_script import ScriptedRun

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.feedback.protocol import Protocol
from rlhf_desktop.hub.library import Library
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.chat.worker_client import WorkerClient
from rlhf_desktop.ui.context import Context, Session
from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.tasks import TaskRunner
from rlhf_desktop.ui.theme.style import Theme

FAKE_WORKER = [sys.executable, str(Path(__file__).resolve().parents[1] / "gui" / "fake_worker.py")]
_PATIENCE_S = 120.0


class QuietQueue(Queue):
    """A queue whose runs nobody works on."""

    def ensure_supervisor(self) -> None:
        """Start nothing."""


def live(ms: int) -> None:
    """Let the window live."""
    loop = QEventLoop()
    QTimer.singleShot(ms, loop.quit)
    loop.exec()


def until(condition: Callable[[], object], what: str) -> None:
    """Let the window live until something holds."""
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what}; the focus is on {QApplication.focusWidget()}"
        live(20)


def press(*keys: str) -> None:
    """Press keys as a keyboard would."""
    subprocess.run(["xdotool", "key", "--clearmodifiers", *keys], check=True)


def blind(window: Window, context: Context, pairs: int) -> None:
    """Compare, then judge."""
    press("ctrl+5")
    until(lambda: window.current_room == "evaluate", "Ctrl+5 does not open Evaluate")
    room = window.room("evaluate")
    until(lambda: room.home.begin.isEnabled(), "nothing to compare")
    room.home.many.set_value(32)
    for _ in range(60):
        if QApplication.focusWidget() is room.home.begin:
            break
        press("Tab")
        live(40)
    press("space")
    until(lambda: room.pair is not None and room.judging.isVisible(), "no pair")
    for done in range(pairs):
        before = room.pair
        press(("1", "2", "equal", "0")[done % 4])
        until(lambda before=before: room.pair is not before or room.result is not None, f"verdict {done + 1} is not taken")
    until(lambda: len(judged(context)) == pairs, "verdicts are missing")


def label(window: Window, context: Context) -> None:
    """Rank, tie, none, skip, flag; a correction kept and saved; undo from another room."""
    before = len(judged(context))
    press("ctrl+2")
    room = window.room("label")
    until(lambda: room.ready.button.isVisible(), "nothing waits")
    while QApplication.focusWidget() is not room.ready.button:
        press("Tab")
        live(40)
    press("space")
    steps = (
        ("2", "1", "3", "Return"), ("1", "equal", "2", "3", "Return"), ("0", "Return"), ("s",), ("f",),
        ("e", "ctrl+a", "h", "i", "ctrl+Return", "2", "1", "3", "Return"),
    )  # fmt: skip
    for number, keys in enumerate(steps, start=1):
        until(lambda: room.presenter.judging.showing is not None and room.area.board.hasFocus(), "no item")
        for key in keys:
            press(key)
            live(60)
        until(lambda number=number: len(judged(context)) == before + number, f"item {number} is not stored")
    press("ctrl+6")
    until(lambda: window.current_room == "models", "Ctrl+6 does not open Models")
    press("ctrl+z")
    until(lambda: len(judged(context)) == before + len(steps) - 1, "Ctrl+Z does not reach Label's judgement")


def judged(context: Context) -> list:
    """What counts now."""
    return context.store.judgements.effective(context.session.project.id)


def make(app: QApplication, workspace: Workspace, store: Store) -> tuple[Context, Window]:
    """The window, on a project with a trained result, held-out prompts and prompts that wait."""
    session = Session(store.projects.create("Support"))
    session.set_model(ModelRef(name="Tiny", path="/nowhere", hash="tiny-hash"))
    tasks, chat = TaskRunner(app), WorkerClient(FAKE_WORKER)
    context = Context(workspace, store, QuietQueue(workspace), Library(workspace), session, chat, tasks, Theme(app, "light"))
    run = ScriptedRun(context, title="Kinder")
    run.result()
    run.state("done")
    for name, count, part in (("Held out", 40, "heldout"), ("Waiting", 8, "train")):
        store.prompts.create_set(
            session.project.id, name, [[{"role": "user", "content": f"{name} {n}"}] for n in range(count)], part
        )
    store.protocols.set(session.project.id, Protocol())
    window = Window(context)
    Desk(context, window)
    return context, window


def main() -> None:
    """Walk it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=30)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ["RLHF_DESKTOP_STATE"] = str(options.out / "state")
    workspace = Workspace(options.out / "workspace").ensure()
    app = QApplication([])
    with Store.open(workspace.database) as store:
        context, window = make(app, workspace, store)
        try:
            window.show()
            window.activateWindow()
            until(window.isActiveWindow, "the window is not active")
            context.chat.load(context.session.base)
            window.show_room("label")
            blind(window, context, options.pairs)
            label(window, context)
            print(f"{len(judged(context))} judgements", flush=True)
        finally:
            window.grab().save(str(options.out / "end.png"))
            context.chat.close()
            until(lambda: not context.chat.process_id, "the worker does not end")
            context.tasks.close()
            window.close()


if __name__ == "__main__":
    main()
