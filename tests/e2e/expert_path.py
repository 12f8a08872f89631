"""An expert's path through the program, by keyboard alone or by mouse alone, on the starter model, kept as pictures.

    xvfb-run -s "-screen 0 1280x800x24" python tests/e2e/expert_path.py --by keyboard --out FOLDER [--pairs 30]

From a project with sample feedback: open Train, start a quick run, watch it, open Evaluate, judge blind pairs, read the verdict,
adopt or not, chat. Keys go to whatever has the focus; the mouse presses at what is drawn (what lies below the fold is scrolled to
first). The verdicts follow a rule that sees only the texts on the screen: the answer that says sorry, else a tie.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PySide6.QtCore import QEventLoop, QPoint, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QPlainTextEdit, QScrollArea, QWidget

from rlhf_desktop.app import Desktop
from rlhf_desktop.core.paths import Workspace, resources_dir
from rlhf_desktop.operations.feedback import import_feedback
from rlhf_desktop.operations.projects import open_project
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.widgets.buttons import SegmentedControl

PROJECT = "Support"
MESSAGE = "Message"  # the name of Chat's field
_PATIENCE_S = 3600.0  # for a run or many answers on a busy machine


def sample_project(workspace: Workspace, folder: Path) -> None:
    """Written examples to learn from, and prompts that are held out."""
    rows = [json.loads(line) for line in (resources_dir() / "demo" / "demonstrations.jsonl").read_text("utf-8").splitlines()]
    examples = folder / "examples.jsonl"
    lines = [
        {"messages": [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["answer"]}]} for row in rows
    ]
    examples.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    prompts = [json.loads(line) for line in (resources_dir() / "demo" / "prompts.jsonl").read_text("utf-8").splitlines()]
    taught = {row["prompt"] for row in rows}
    held = [[{"role": "user", "content": row["prompt"]}] for row in prompts if row["prompt"] not in taught][-64:]
    with Store.open(workspace.database) as store:
        project = open_project(store, PROJECT)
        store.settings.set("welcomed", True)
        import_feedback(store, project, examples)
        store.prompts.create_set(project.id, "Held-out tickets", held, "heldout")


class Hand:
    """Presses what is on the screen, by its accessible name."""

    def __init__(self, desktop: Desktop, out: Path) -> None:
        self.desktop, self.window, self._out, self._pictures = desktop, desktop.window, out, 0

    def until(self, condition: Callable[[], object], timeout_s: float = 900.0, what: str = "it did not happen in time") -> None:
        """Let the window live until something holds."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, what
            self.live(100)

    def live(self, ms: int = 300) -> None:
        """Let the window live."""
        loop = QEventLoop()
        QTimer.singleShot(ms, loop.quit)
        loop.exec()

    def picture(self, name: str) -> None:
        """Keep what the window shows."""
        self.live(400)
        self._pictures += 1
        self.window.grab().save(str(self._out / f"{self._pictures:02}-{name}.png"))
        print(f"{self._pictures:02}-{name}", flush=True)

    def find(self, name: str) -> QWidget:
        """The button that is called so, else the first whose name begins so, as soon as it can be pressed."""
        found: list[QWidget] = []

        def look() -> list[QWidget]:
            usable = [w for w in self.window.findChildren(QAbstractButton) if w.isVisible() and w.isEnabled()]
            found[:] = [w for w in usable if w.accessibleName() == name] or [
                w for w in usable if w.accessibleName().startswith(name)
            ]
            return found

        self.until(look, what=f"there is nothing called “{name}” to press")
        return found[0]

    def press(self, name: str) -> None:
        """Press a button."""
        raise NotImplementedError

    def room(self, name: str, key: Qt.Key) -> None:
        """Go to a room."""
        raise NotImplementedError

    def verdict(self, name: str, key: Qt.Key) -> None:
        """Judge the pair that is shown."""
        raise NotImplementedError

    def ask(self, text: str) -> None:
        """Write a message and send it."""
        raise NotImplementedError


class Keyboard(Hand):
    """Keys only."""

    def press(self, name: str) -> None:
        wanted = self.find(name)
        group = wanted.parentWidget() if isinstance(wanted.parentWidget(), SegmentedControl) else wanted
        for _ in range(400):
            focus = QApplication.focusWidget()
            if focus is not None and (focus is group or group.isAncestorOf(focus)):
                self._choose(wanted) if group is not wanted else QTest.keyClick(wanted, Qt.Key.Key_Space)
                return
            QTest.keyClick(focus or self.window, Qt.Key.Key_Tab)
        raise AssertionError(f"Tab never reaches “{name}”")

    def ask(self, text: str) -> None:
        for _ in range(100):
            focus = QApplication.focusWidget()
            if focus is not None and focus.accessibleName() == MESSAGE:
                QTest.keyClicks(focus, text)
                QTest.keyClick(focus, Qt.Key.Key_Return)
                return
            QTest.keyClick(focus or self.window, Qt.Key.Key_Tab)
        raise AssertionError("Tab never reaches the message")

    def _choose(self, wanted: QWidget) -> None:
        """Tab enters a row of choices at the one that holds; arrows go on from there."""
        for key in (Qt.Key.Key_Right,) * 8 + (Qt.Key.Key_Left,) * 8:
            if wanted.isChecked():
                return
            QTest.keyClick(QApplication.focusWidget(), key)

    def room(self, name: str, key: Qt.Key) -> None:
        QTest.keyClick(QApplication.focusWidget() or self.window, key, Qt.KeyboardModifier.ControlModifier)
        self.live()

    def verdict(self, name: str, key: Qt.Key) -> None:
        QTest.keyClick(QApplication.focusWidget(), key)


class Mouse(Hand):
    """The left button only."""

    def press(self, name: str) -> None:
        wanted = self.find(name)
        parent = wanted.parentWidget()
        while parent is not None:
            if isinstance(parent, QScrollArea):
                parent.ensureWidgetVisible(wanted)
            parent = parent.parentWidget()
        self.live(100)
        at = wanted.mapTo(self.window, wanted.rect().center())
        under = self.window.childAt(at)
        assert under is wanted or wanted.isAncestorOf(under), f"“{name}” lies under {under}"
        QTest.mouseClick(under, Qt.MouseButton.LeftButton, pos=under.mapFrom(self.window, QPoint(at)))

    def room(self, name: str, key: Qt.Key) -> None:
        self.press(name)
        self.live()

    def verdict(self, name: str, key: Qt.Key) -> None:
        self.press(name)

    def ask(self, text: str) -> None:
        field = next(w for w in self.window.findChildren(QPlainTextEdit) if w.accessibleName() == MESSAGE and w.isVisible())
        QTest.mouseClick(field.viewport(), Qt.MouseButton.LeftButton)
        QTest.keyClicks(field, text)  # words are typed, whatever moves the pointer
        self.press("Send")


def rule(left: str, right: str) -> tuple[str, Qt.Key]:
    """The verdict on two texts: the button's name and its key."""
    sorry = ["sorry" in text.lower() for text in (left, right)]
    if sorry[0] == sorry[1]:
        return ("About equal", Qt.Key.Key_Equal)
    return ("1 is better", Qt.Key.Key_1) if sorry[0] else ("2 is better", Qt.Key.Key_2)


def walk(hand: Hand, pairs: int) -> str:
    """The path. Returns the verdict's sentence."""
    window, chat = hand.window, hand.desktop.context.chat
    hand.until(lambda: chat.loaded is not None, _PATIENCE_S)
    hand.room("Train", Qt.Key.Key_4)
    room = window.room("train")
    hand.until(lambda: room.overview._facts is not None)
    hand.picture("train")
    hand.press("Start: Teach by example")
    hand.until(lambda: room.overview.panel is not None and "fit" in room.overview.panel.preflight.cost.text(), _PATIENCE_S)
    hand.press("Preset: Quick")
    hand.live(500)
    hand.until(lambda: "Working" not in room.overview.panel.preflight.cost.text(), _PATIENCE_S)
    hand.picture("quick")
    hand.press("Start")
    hand.until(lambda: room.overview.runs.rows)
    hand.press("Open Taught")
    hand.until(lambda: room.page is not None and room.page.charts, _PATIENCE_S)
    hand.picture("watching")
    hand.until(lambda: room.page.judge.isVisible(), _PATIENCE_S)
    hand.picture("done")
    hand.press("Is it better?")
    evaluate = window.room("evaluate")
    hand.until(lambda: evaluate.home.begin.isEnabled() and evaluate.home.new.currentText() == "Taught")
    most = 32 if pairs > 16 else 8
    hand.press(f"Prompts: {max(n for n in evaluate.home.facts.outlook.held_out.samples if n <= most)}")
    hand.picture("evaluate")
    hand.press("Compare")
    hand.until(lambda: evaluate.pair is not None and evaluate.judging.isVisible(), _PATIENCE_S)
    hand.picture("blind")
    for _ in range(min(pairs, evaluate.pair.total)):
        before = evaluate.pair
        hand.verdict(*rule(*(view.text() for view in evaluate.judging._sides)))
        hand.until(lambda before=before: evaluate.pair is not before or evaluate.result is not None)
    if evaluate.result is None:
        hand.press("See the result so far")
    hand.until(lambda: evaluate.result is not None)
    hand.picture("verdict")
    win = evaluate.result.report.win
    hand.press("Adopt" if win.decision == "better" else "Keep")
    hand.live(1000)
    hand.room("Chat", Qt.Key.Key_1)
    hand.until(lambda: chat.loaded is not None and chat.state == "ready", _PATIENCE_S)
    answered: list[bool] = []
    window.room("chat").presenter.writingEnded.connect(lambda: answered.append(True))
    hand.ask("My kettle arrived broken.")
    hand.until(lambda: answered, _PATIENCE_S)
    hand.picture("chat")
    return f"{win.rate:.0%} ({win.low:.0%} to {win.high:.0%}) on {win.n}: {win.decision}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--by", choices=("keyboard", "mouse"), required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=30)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ["RLHF_DESKTOP_STATE"] = str(options.out / "state")
    workspace = Workspace(options.out / "workspace").ensure()
    app = QApplication([])
    sample_project(workspace, options.out)
    desktop = Desktop(app, workspace, PROJECT)
    hand = {"keyboard": Keyboard, "mouse": Mouse}[options.by](desktop, options.out)
    try:
        desktop.open()
        desktop.window.resize(1280, 800)
        desktop.window.activateWindow()
        print(walk(hand, options.pairs), flush=True)
    finally:
        desktop.window.close()
        app.exec()  # until the process that answers has ended
        desktop.put_away()


if __name__ == "__main__":
    main()
