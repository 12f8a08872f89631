"""An expert's whole labelling day in the real window, by keyboard alone or by mouse alone, kept as pictures.

    xvfb-run -s "-screen 0 1280x800x24" python tests/e2e/labelling_path.py --by keyboard --out FOLDER [--theme dark] [--scale 1.5]

A tiny random model writes the answers, in the program's own worker. The path goes through the protocol's presets, Label (ranking,
tie, none will do, correction, own answer, skip, flag, undo, a specialist's form with a mark), Chat (alternatives, ranking, branch,
search) and Feedback (revise, withdraw, restore, tag, erase), and checks what the database holds after each.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPlainTextEdit

from rlhf_desktop.app import Desktop
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.feedback.protocol import PRESETS
from rlhf_desktop.hub.library import Library
from rlhf_desktop.operations.projects import choose_base, open_project
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.theme import tokens as t
from tests.e2e.expert_path import Hand, Keyboard, Mouse
from tests.tiny import make_tiny_model

PROJECT = "Clinic"
QUESTIONS = [
    "My blender arrived broken and I need it by Friday. What now?",
    "How much paracetamol may I take in a day?",
    "طلبت خلاطًا قبل أسبوعين ولم يصل حتى الآن. أين طلبي؟",
    "Write a short apology to a customer who waited three weeks.\n\n* name the product\n* no dates",
    *(f"Question number {n}: what should I tell the customer?" for n in range(5, 25)),
]
Key = Qt.Key


def fill(workspace: Workspace, model: Path) -> None:
    """A project with a tiny model and prompts that wait."""
    library = Library(workspace)
    library.add(str(make_tiny_model(model).path), "tiny")
    with Store.open(workspace.database) as store:
        project = open_project(store, PROJECT)
        store.settings.set("welcomed", True)
        choose_base(store, library, project, "tiny")
        store.settings.set("model", "tiny", project.id)
        store.prompts.create_set(project.id, "tickets", [[{"role": "user", "content": q}] for q in QUESTIONS])
        store.guidelines.save(project.id, "**Be kind.** Never promise what the shop cannot keep.", "Ada")


class Day:
    """The path's steps."""

    def __init__(self, hand: Hand, by: str) -> None:
        self.hand, self.by = hand, by
        self.context = hand.desktop.context
        self.label, self.chat = hand.window.room("label"), hand.window.room("chat")
        self.feedback = hand.window.room("feedback")

    def key(self, key: Key, modifier=Qt.KeyboardModifier.NoModifier) -> None:
        """A key to whatever has the focus."""
        QTest.keyClick(QApplication.focusWidget() or self.hand.window, key, modifier)
        self.hand.live(60)

    def type(self, text: str) -> None:
        """Text to whatever has the focus."""
        QTest.keyClicks(QApplication.focusWidget(), text)

    def do(self, key: Key, button: str) -> None:
        """Something by its key, or by its button."""
        self.key(key) if self.by == "keyboard" else self.hand.press(button)
        self.hand.live(60)

    def held(self) -> list[str]:
        """The kinds of the judgements in effect."""
        return [j.kind for j in self.context.store.judgements.effective(self.context.session.project.id)]

    def item(self) -> None:
        """Until an item is there to judge."""
        self.hand.until(lambda: self.label.presenter.judging.showing is not None)

    # --- the parts of the day

    def presets(self) -> None:
        """Look at each preset's form."""
        self.hand.until(lambda: self.context.chat.loaded is not None)
        self.hand.room("Label", Key.Key_2)
        self.hand.until(lambda: self.label.widget().currentWidget() is self.label.ready)
        self.hand.picture("label-waits")
        self.hand.press("What is asked…")
        for name in PRESETS:
            self.label.protocol.preset.setCurrentText(name)
            self.label.protocol.preset.textActivated.emit(name)
            if name in ("General", "Thumbs", "Law"):
                self.hand.picture(f"preset-{name.replace(' ', '-').lower()}")
            assert self.label.protocol.value() == PRESETS[name]

    def ask(self, name: str) -> None:
        """Save a preset from the form."""
        if self.label.widget().currentWidget() is not self.label.protocol:
            self.hand.press("What is asked")
        self.label.protocol.preset.setCurrentText(name)
        self.label.protocol.preset.textActivated.emit(name)
        self.hand.press("Save" if self.label.protocol.save.isEnabled() else "Back")  # nothing to save: it holds already
        self.hand.live(300)

    def rank(self, save: bool = True) -> None:
        """Rank four answers: three keys and Enter."""
        self.item()
        for key, button in (
            (Key.Key_2, "Place answer B next"),
            (Key.Key_1, "Place answer A next"),
            (Key.Key_3, "Place answer C next"),
        ):
            self.do(key, button)
        if save:
            self.do(Key.Key_Return, "Save")

    def label_all(self) -> None:
        """Every way to judge an item."""
        self.ask("General")
        self.hand.press("Begin")
        self.item()
        self.hand.picture("label-item")
        if self.by == "mouse":
            self.hand.press("Show all that can be said")
        before = len(self.held())
        self.rank()
        self.hand.picture("label-next")
        self.item()
        self.do(Key.Key_1, "Place answer A next")
        self.do(Key.Key_Equal, "Tie")
        self.do(Key.Key_2, "Place answer B next")
        self.do(Key.Key_3, "Place answer C next")
        self.hand.picture("label-tie")
        self.do(Key.Key_Return, "Save")
        self.item()
        self.do(Key.Key_0, "None will do")
        self.do(Key.Key_Return, "Save")
        self.item()
        self.do(Key.Key_E, "Correct answer A")
        field = QApplication.focusWidget()
        assert isinstance(field, QPlainTextEdit), field
        self.key(Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        self.type("I am so sorry. I will send another blender today.")
        self.hand.picture("label-correcting")
        self.key(Key.Key_Return, Qt.KeyboardModifier.ControlModifier) if self.by == "keyboard" else self.hand.press("Keep")
        self.rank(save=False)
        self.hand.picture("label-corrected")
        self.do(Key.Key_Return, "Save")
        self.item()
        self.do(Key.Key_W, "Write my own")
        self.type("Please send us the order's number.")
        self.hand.picture("label-own")
        self.hand.press("Save as example")
        self.item()
        self.do(Key.Key_S, "Skip")
        self.item()
        self.do(Key.Key_F, "Flag")
        kinds = self.held()[before:]
        print("judged:", kinds, flush=True)
        assert len(kinds) >= 6, kinds
        self.key(Key.Key_Z, Qt.KeyboardModifier.ControlModifier) if self.by == "keyboard" else self.hand.press("Undo")
        self.hand.until(lambda: len(self.held()) == len(kinds) + before - 1)
        self.item()
        self.hand.picture("label-undone")
        self.do(Key.Key_F, "Flag")

    def specialist(self) -> None:
        """Medicine's form: rank, a mark, marks out of five, certainty and a reason."""
        self.ask("Medicine")
        self.item()
        self.rank(save=False)
        card = self.label.area.board.cards[0]
        self.label.presenter.judging.choose(0)
        self.do(Key.Key_M, "Mark parts of answer A")
        self.hand.live(200)
        if self.by == "keyboard":
            self.key(Key.Key_End, Qt.KeyboardModifier.ShiftModifier)  # whichever way the line is written
            self.key(Key.Key_1)
        else:
            cursor = card._marks.text.textCursor()
            cursor.setPosition(0)
            cursor.setPosition(6, cursor.MoveMode.KeepAnchor)
            card._marks.text.setTextCursor(cursor)
            self.hand.press("Mark as factual error")
        self.hand.picture("medicine-marking")
        self.key(Key.Key_Escape) if self.by == "keyboard" else self.hand.press("Done")
        self.do(Key.Key_C, "How sure: certain")
        if self.by == "keyboard":
            self.key(Key.Key_R)
            self.hand.picture("medicine-rating")
            self.key(Key.Key_4)
            self.key(Key.Key_Escape)
        self.do(Key.Key_Return, "Save")
        self.hand.picture("medicine-why-asked")
        if self.by == "mouse":
            self.label.area.panel.why.setFocus()
        self.type("It names the dose.")
        self.key(Key.Key_Return) if self.by == "keyboard" else self.hand.press("Save")
        self.hand.live(200)
        self.hand.picture("medicine-next")
        self.ask("General")
        self.item()
        self.hand.press("End")
        self.hand.live(300)
        self.hand.picture("label-summary")

    def talk(self) -> None:
        """Chat: four answers, ranked; another branch; found again, and filed."""
        self.hand.room("Chat", Key.Key_1)
        self.hand.live(300)
        self.hand.press("Answers: 4")
        self.chat.composer.edit.setFocus()
        self.type("My kettle leaks. Can I have my money back?")
        self.hand.picture("chat-typed")
        self.do(Key.Key_Return, "Send")
        self.hand.until(lambda: self.chat.presenter.judging.showing is not None)
        self.hand.picture("chat-alternatives")
        for key, button in (
            (Key.Key_3, "Place answer C next"),
            (Key.Key_1, "Place answer A next"),
            (Key.Key_2, "Place answer B next"),
        ):
            self.do(key, button)
        self.hand.picture("chat-ranked")
        self.do(Key.Key_Return, "Save")
        self.hand.until(lambda: self.chat.presenter.judging.showing is None)
        self.hand.picture("chat-saved")
        self.hand.press("Write another answer")
        self.hand.until(lambda: not self.chat.presenter.writing)
        self.hand.live(300)
        leaf = self.chat.presenter._tree.active_path()[-1]
        assert len(self.chat.presenter._tree.siblings(leaf.id)) == 5
        self.hand.picture("chat-another")
        self.hand.press("Instructions and sampling")
        self.type("Be brief.")
        self.hand.picture("chat-instructions")
        self.hand.press("Close")
        self.hand.press("Edit this message")
        self.hand.live(100)  # until the field has the focus
        self.key(Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        self.type("My kettle leaks. May I exchange it?")
        self.hand.picture("chat-editing")
        self.do(Key.Key_Return, "Send")
        self.hand.until(lambda: self.chat.presenter.judging.showing is not None)
        self.hand.picture("chat-branch")
        self.do(Key.Key_0, "None will do")
        self.do(Key.Key_Return, "Save")
        self.hand.live(400)
        self.hand.picture("chat-none-good")
        self.chat.list.search.setFocus()
        self.type("kettle")
        self.hand.until(lambda: self.chat.list.model.rowCount() == 1)
        self.hand.picture("chat-found")
        self.choose("Folder", "New folder")
        self.type("Kettles")
        self.key(Key.Key_Return)
        self.choose("Tags", "New tag")
        self.type("refund")
        self.key(Key.Key_Return)
        self.hand.until(lambda: self.chat.list.where.count() == 3)
        self.hand.picture("chat-filed")
        shelf, shown = self.context.store.conversations, self.chat.presenter.conversation_id
        assert shelf.folders(self.context.session.project.id) == {"Kettles": 1}
        assert shelf.tags_of([shown]) == {shown: ("refund",)}

    def choose(self, *path: str) -> None:
        """Go down the conversation's menu."""
        self.hand.press("Conversation menu")
        self.hand.live(200)
        for place, words in enumerate(path):
            menu = QApplication.activePopupWidget()
            wanted = next(action for action in menu.actions() if action.text().startswith(words))
            if self.by == "mouse":
                QTest.mouseClick(menu, Qt.MouseButton.LeftButton, pos=menu.actionGeometry(wanted).center())
            else:
                while menu.activeAction() is not wanted:
                    QTest.keyClick(menu, Key.Key_Down)
                QTest.keyClick(menu, Key.Key_Return if place == len(path) - 1 else Key.Key_Right)
            self.hand.live(200)

    def look_back(self) -> None:
        """Feedback: find, open, revise, withdraw, undo, tag, erase."""
        self.hand.room("Feedback", Key.Key_3)
        page = self.feedback.judgements
        self.hand.until(lambda: page.model is not None and page.model.rowCount() and page.detail.isVisible())
        self.hand.live(300)
        self.hand.picture("feedback")
        page.table.setFocus()
        self.key(Key.Key_Down)
        self.hand.live(300)
        self.hand.press("Revise")
        self.hand.live(300)
        self.hand.picture("feedback-revising")
        self.hand.press("Leave as it is")
        self.hand.live(300)
        before = len(self.held())
        self.hand.press("Withdraw")
        self.hand.until(lambda: len(self.held()) == before - 1)
        self.hand.picture("feedback-withdrawn")
        self.key(Key.Key_Z, Qt.KeyboardModifier.ControlModifier) if self.by == "keyboard" else self.hand.press("Undo")
        self.hand.until(lambda: len(self.held()) == before)
        page.table.setFocus()
        self.key(Key.Key_Home, Qt.KeyboardModifier.ControlModifier)
        for _ in range(2):
            self.key(Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
        page.tag.setFocus()
        self.type("hard")
        self.key(Key.Key_Return)
        self.hand.live(500)
        self.hand.picture("feedback-tagged")
        page.table.setFocus()
        self.key(Key.Key_Down)
        self.hand.press("Erase")
        self.hand.live(500)
        self.hand.picture("feedback-erasing")
        self.hand.press("Keep everything")
        self.hand.live(300)
        for tab in range(1, 4):
            self.feedback.tabs.setCurrentIndex(tab)
            self.hand.live(600)
            self.hand.picture(f"feedback-tab-{tab}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--by", choices=("keyboard", "mouse"), required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--theme", choices=("light", "dark"), default="light")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--size", default="1280x800")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ["RLHF_DESKTOP_STATE"] = str(options.out / "state")
    workspace = Workspace(options.out / "workspace").ensure()
    app = QApplication([])
    font = app.font()
    font.setPixelSize(round(t.SYSTEM_FONT_PX * options.scale))
    app.setFont(font)
    fill(workspace, options.out / "tiny")
    desktop = Desktop(app, workspace, PROJECT)
    hand = {"keyboard": Keyboard, "mouse": Mouse}[options.by](desktop, options.out)
    try:
        desktop.context.theme.set_mode(options.theme)
        desktop.open()
        desktop.window.resize(*(int(part) for part in options.size.split("x")))
        desktop.window.activateWindow()
        day = Day(hand, options.by)
        for part in (day.presets, day.label_all, day.specialist, day.talk, day.look_back):
            part()
            print(f"{part.__name__}: well", flush=True)
    except BaseException:
        hand.picture("stopped-here")
        raise
    finally:
        desktop.put_away()


if __name__ == "__main__":
    main()
