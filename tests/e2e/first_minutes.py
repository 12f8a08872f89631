"""From the first start to the first stored comparison, on the starter model, kept as pictures and seconds.

    xvfb-run -s "-screen 0 1280x800x24" python tests/e2e/first_minutes.py --by keyboard --out FOLDER

The workspace is new: the starter model is prepared while the message waits. Every action of the user is counted: a press, words
typed, a key. The comparison is then looked for in the database. `steps.json` has a row for each step.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from expert_path import Hand, Keyboard, Mouse
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from rlhf_desktop.app import Desktop
from rlhf_desktop.core.paths import Workspace

MOST_ACTIONS = 8
MESSAGE = "My blender arrived broken and I need it by Friday. What can you do for me?"
_PATIENCE_S = 1800.0


@dataclass(frozen=True)
class Step:
    """What happened, how many actions it took, and the seconds since the step before."""

    name: str
    actions: int
    seconds: float


class Journey:
    """The steps so far."""

    def __init__(self, hand: Hand) -> None:
        self.hand, self.steps, self._since = hand, list[Step](), time.monotonic()

    def step(self, name: str, actions: int = 0) -> None:
        """A step is done; a picture of it is kept, which counts for no step."""
        self.steps.append(Step(name, actions, round(time.monotonic() - self._since, 1)))
        self.hand.picture(name.replace(" ", "-"))
        self._since = time.monotonic()

    @property
    def actions(self) -> int:
        """All of them."""
        return sum(step.actions for step in self.steps)


def walk(hand: Hand) -> Journey:
    """The path."""
    window, path = hand.window, Journey(hand)
    hand.until(lambda: window.welcome is not None and window.welcome.isVisible())
    path.step("welcome")
    hand.until(lambda: window.welcome.meter.isVisible() or hand.desktop.context.chat.loaded is not None)
    path.step("preparing is shown")
    hand.press("Start chatting")
    room = window.room("chat")
    hand.until(lambda: window.current_room == "chat")
    path.step("chat opened", 1)
    hand.press("Answers: 2")
    hand.ask(MESSAGE)
    hand.until(lambda: room.presenter.waiting or room.presenter.writing)
    path.step("message sent", 3)  # the choice, the words, Enter or Send
    hand.until(lambda: room.presenter.writing, _PATIENCE_S, "the model was never ready")
    path.step("model ready")
    hand.until(lambda: room.presenter.judging.showing is not None, _PATIENCE_S, "the answers were never there")
    path.step("two answers")
    hand.verdict("Place answer A next", Qt.Key.Key_1)
    store, project = hand.desktop.context.store, hand.desktop.context.session.project
    hand.until(lambda: len(store.judgements.effective(project.id)) == 1, 30.0, "nothing was stored")
    path.step("comparison stored", 1)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--by", choices=("keyboard", "mouse"), required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ["RLHF_DESKTOP_STATE"] = str(options.out / "state")
    app = QApplication([])
    desktop = Desktop(app, Workspace(options.out / "workspace").ensure())
    hand = {"keyboard": Keyboard, "mouse": Mouse}[options.by](desktop, options.out)
    try:
        desktop.open()
        desktop.window.activateWindow()
        path = walk(hand)
        (options.out / "steps.json").write_text(json.dumps([asdict(step) for step in path.steps], indent=1), encoding="utf-8")
        for step in path.steps:
            print(f"{step.seconds:7.1f} s  {step.actions} actions  {step.name}")
        assert path.actions <= MOST_ACTIONS, path.actions
        print(f"{path.actions} actions, {sum(step.seconds for step in path.steps):.0f} s", flush=True)
    finally:
        desktop.window.close()
        app.exec()  # until the process that answers has ended
        desktop.put_away()


if __name__ == "__main__":
    main()
