"""A window that chats and labels by keyboard, without a screen: the part of a working day that only a window has.

    python tests/e2e/offline_window.py WORKSPACE PROJECT MODEL PROMPT [--offline]

The project must have prompts that wait. One answer of two is chosen in Chat, and one item is ranked in Label, in the program's own
worker; the number of judgements that the database then holds is printed.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from rlhf_desktop.app import Desktop
from rlhf_desktop.core import offline
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.hub.library import Library
from rlhf_desktop.operations.projects import choose_base, open_project
from rlhf_desktop.store.database import Store
from tests.e2e.expert_path import Keyboard

_PATIENCE_S = 900.0  # a model on a busy machine, watched
Key = Qt.Key


def chosen(workspace: Workspace, name: str, model: str) -> None:
    """The project with its model, as if it had been set up in the window."""
    with Store.open(workspace.database) as store:
        project = open_project(store, name)
        store.settings.set("welcomed", True)
        store.settings.set("model", choose_base(store, Library(workspace), project, model).name, project.id)
        if not store.prompts.sets(project.id):
            waiting = [[{"role": "user", "content": f"Question {n}: what now?"}] for n in range(6)]
            store.prompts.create_set(project.id, "waiting", waiting)


def judged(desktop: Desktop) -> int:
    """Judgements in effect."""
    context = desktop.context
    return len(context.store.judgements.effective(context.session.project.id))


def work(hand: Keyboard, prompt: str) -> None:
    """Chat with two answers, and Label."""
    desktop, context = hand.desktop, hand.desktop.context
    hand.until(lambda: context.chat.loaded is not None, _PATIENCE_S)
    chat, label = hand.window.room("chat"), hand.window.room("label")
    hand.room("Chat", Key.Key_1)
    chat.composer.answers.set_value(2)
    hand.ask(prompt)
    hand.until(lambda: chat.presenter.judging.showing is not None, _PATIENCE_S)
    QTest.keyClick(chat.area.board, Key.Key_1)  # a pair saves on its key
    hand.until(lambda: judged(desktop) == 1)
    hand.room("Label", Key.Key_2)
    hand.press("Begin")
    judging = label.presenter.judging
    hand.until(lambda: judging.showing is not None, _PATIENCE_S)
    while len(judging.draft.ranking.unplaced) > 1:
        QTest.keyClick(QApplication.focusWidget(), Key(Key.Key_1 + judging.draft.ranking.unplaced[0]))
    QTest.keyClick(QApplication.focusWidget(), Key.Key_Return)
    hand.until(lambda: judged(desktop) == 2)


def main() -> None:
    workspace = Workspace(Path(sys.argv[1])).ensure()
    offline.begin()
    offline.set_guard("--offline" in sys.argv)
    chosen(workspace, sys.argv[2], sys.argv[3])
    desktop = Desktop(QApplication([]), workspace, sys.argv[2], offline="--offline" in sys.argv)
    with tempfile.TemporaryDirectory() as pictures:
        hand = Keyboard(desktop, Path(pictures))
        try:
            desktop.open()
            desktop.window.resize(1280, 800)
            desktop.window.activateWindow()
            work(hand, sys.argv[4])
            print(judged(desktop))
        finally:
            desktop.put_away()


if __name__ == "__main__":
    main()
