"""A day in the real window with a tiny real model, so many hours of it; prints how much more there is in the end.

    python soak_day.py FOLDER HOURS

An hour: a conversation, every room, another project and back, a backup; every third one a run. What it made goes at its end, so
that the lists are as long as before and whatever is more has leaked. Run by test_trust_soak.
"""

import json
import os
import sys
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from rlhf_desktop.app import Desktop
from rlhf_desktop.core.files import discard
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.hub.library import Library
from rlhf_desktop.operations.feedback import import_feedback
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.operations.projects import choose_base, open_project
from rlhf_desktop.operations.training import start_run
from rlhf_desktop.store.backups import back_up
from tests.e2e.expert_path import Hand
from tests.e2e.loop import write_examples
from tests.tiny import make_tiny_model
from tests.trust.soaking import Soak, kinds

WARM_UP = 3  # hours, with the first run
ROOMS = (Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_3, Qt.Key.Key_4, Qt.Key.Key_5, Qt.Key.Key_6, Qt.Key.Key_7)
SETTINGS = {"epochs": 1, "batch_size": 2, "lora_rank": 4, "dtype": "float32", "watched_prompts": 0}


def fill(workspace: Workspace, folder: Path) -> None:
    """Two projects with examples and a tiny model."""
    library = Library(workspace)
    library.add(str(make_tiny_model(folder / "tiny").path), "tiny")
    with open_store(workspace) as store:
        store.settings.set("welcomed", True)
        for name in ("Other", "Day"):
            project = open_project(store, name)
            import_feedback(store, project, write_examples(folder / "examples.jsonl", 12))
            choose_base(store, library, project, "tiny")
            store.settings.set("model", "tiny", project.id)


class Day:
    """What is done in each hour."""

    def __init__(self, hand: Hand) -> None:
        self.hand, self.context = hand, hand.desktop.context
        self.chat = hand.window.room("chat")
        self.answered: list[bool] = []
        self.chat.presenter.writingEnded.connect(lambda: self.answered.append(True))
        self.projects = [self.context.store.projects.by_name(name) for name in ("Day", "Other")]

    def hour(self, number: int) -> None:
        self.converse(number)
        for key in ROOMS:
            self.hand.room("", key)
            self.hand.live(100)
        for project in reversed(self.projects):
            self.context.session.set_project(project)
            self.hand.live(200)
        self.hand.until(lambda: self.context.chat.loaded is not None and self.context.chat.state == "ready")
        back_up(self.context.store.connection, self.context.workspace.backups / "by-hand.db")
        if number % 3 == 0:
            self.train()

    def converse(self, number: int) -> None:
        self.hand.room("Chat", Qt.Key.Key_1)
        self.chat.new_conversation()
        before = len(self.answered)
        self.hand.ask(f"My printer is broken, {number}.")
        self.hand.until(lambda: len(self.answered) > before)
        shown = self.chat.presenter.conversation_id
        self.chat.new_conversation()
        self.chat._remove(shown)

    def train(self) -> None:
        context, library = self.context, self.context.library
        base = choose_base(context.store, library, context.session.project, "tiny")
        run = start_run(context.store, context.queue, context.session.project, "sft", base=base, settings=SETTINGS)
        context.queue.ensure_supervisor()
        context.session.runsChanged.emit()
        self.hand.room("Train", Qt.Key.Key_4)
        room = self.hand.window.room("train")
        room.show_run(run.id)
        self.hand.until(lambda: run.state().ended)
        assert run.state().state == "done", run.state().message
        self.hand.live(1500)
        room.show_overview()
        discard(run.path, run.id)
        context.session.runsChanged.emit()
        self.hand.live(500)


class Keys(Hand):
    """Rooms by their keys, the message where it is written."""

    def room(self, name: str, key: Qt.Key) -> None:
        from PySide6.QtTest import QTest

        QTest.keyClick(QApplication.focusWidget() or self.window, key, Qt.KeyboardModifier.ControlModifier)
        self.live(100)

    def ask(self, text: str) -> None:
        composer = self.desktop.window.room("chat").composer
        composer.edit.setPlainText(text)
        composer.go.click()


def main() -> None:
    folder, hours = Path(sys.argv[1]), int(sys.argv[2])
    workspace = Workspace(folder).ensure()
    fill(workspace, folder)
    app = QApplication([])
    desktop = Desktop(app, workspace, "Day")
    desktop.open()
    desktop.window.resize(1280, 800)
    desktop.window.activateWindow()
    hand = Keys(desktop, folder)
    hand.until(lambda: desktop.context.chat.loaded is not None)
    day, soak, begun = Day(hand), Soak(WARM_UP, 1), None
    for number in range(WARM_UP + hours):
        day.hour(number)
        soak.at(number + 1)
        begun = kinds() if number + 1 == WARM_UP else begun
    print(kinds() - (begun or kinds()), file=sys.stderr)
    print(json.dumps({"done": hours, "growth": soak.growth()}), flush=True)
    desktop.window.close()
    app.exec()  # until the process that answers has ended
    desktop.put_away()


if __name__ == "__main__":
    main()
