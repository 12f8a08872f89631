"""Every action of every room, in the whole window, and where the focus is afterwards.

The actions are found by walking the widget tree, again after each of them: whatever appears is walked too, by the way that made it
appear. At the end every control that was ever there to use has been used, but for those that another action had taken away
for good: `GONE` says where that may be, and why; a control elsewhere that the walk never comes to fails it.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTabBar,
    QWidget,
)
from whole_window import make_whole, named, no_other_window

from rlhf_desktop.operations import preflight
from rlhf_desktop.ui.frame.room import ROOMS

Key, Control = Qt.Key, Qt.KeyboardModifier.ControlModifier
CONTROLS = (QAbstractButton, QAbstractItemView, QComboBox, QLineEdit, QPlainTextEdit, QTabBar)
FRAME = "frame"  # what is around the rooms: rail, header, status bar, help, notices
MOST, TRIES = 600, 2
BACK = re.compile(r"/(Cancel|Close|Back|Leave|Done|All runs|All comparisons|Keep everything|Choose another)")
ENDS = re.compile(
    r"(^|/)(New conversation|Save|Start$|Send|Use these|Skip|Flag|Compare$|Erase|Stop|Delete|Remove|Begin|End$|Withdraw|Go on)"
)
# Where another action may have taken a control away by the time it is looked for: turns and judgements of a conversation that was
# left, a judgement that was revised or withdrawn, a run that was stopped, a card that was removed, a rail that has closed,
# a comparison that was judged to its end.
GONE = {
    "chat": re.compile(r"TurnView/|Notice/|SavedInstructions/|WritingPane|JudgingPanel|AnswerCard"),
    "label": re.compile(r"GuidelinePanel|WritingPane|AnswerCard"),
    "feedback": re.compile(r"RevisingPage|KeptSplitter/(Erase|Remove tag|DetailPane)"),
    "train": re.compile(r"RunRow/|RunPage/(Stop|Pause|Resume|End)"),
    "evaluate": re.compile(r"RewardPage/|EvaluationRow/Go on"),
    "models": re.compile(r"Card/|Panel/"),
    "settings": re.compile(r"SegmentedControl/"),
    FRAME: re.compile(r"Rail/|HelpPane/|NoticeList/|TroubleBar/|Toast/"),
}
LEAST = {
    "chat": 25,
    "label": 35,
    "feedback": 60,
    "train": 60,
    "evaluate": 20,
    "models": 20,
    "settings": 12,
    FRAME: 15,
}  # actions that are done
LATE = ("turn", "turn back", "leave", "keep", "delete")  # what may put away what it is in
Action = tuple[str, str]  # a control, and what is done with it


def known(widget: QWidget, root: QWidget) -> str:
    """A control as it is known again when the room has made it anew: its place among the classes, and its first words."""
    chain, parent = [], widget.parentWidget()
    while parent is not None and parent is not root:
        if type(parent).__module__.startswith("rlhf_desktop"):
            chain.append(type(parent).__name__)
        parent = parent.parentWidget()
    words = re.sub(r"\d+", "#", widget.accessibleName() or type(widget).__name__).split()
    return "/".join([*reversed(chain), " ".join(words[:2])])


def acts(widget: QWidget) -> Iterator[tuple[str, Callable[[], None]]]:
    """What can be done with a control that has the focus, by key."""
    click = lambda key, held=Qt.KeyboardModifier.NoModifier: lambda: QTest.keyClick(widget, key, held)  # noqa: E731
    if isinstance(widget, QAbstractButton):
        yield "press", click(Key.Key_Space)
    elif isinstance(widget, QComboBox):
        yield "change", click(Key.Key_Down)
    elif isinstance(widget, QTabBar):
        for name, key in (("turn", Key.Key_Right), ("turn back", Key.Key_Left)):
            yield f"{name} from {widget.tabText(widget.currentIndex())}", click(key)
    elif isinstance(widget, QAbstractItemView):
        yield "open", click(Key.Key_Return)
        yield "delete", click(Key.Key_Delete)
    else:
        yield "enter", click(Key.Key_Return)
        yield "keep", lambda: (QTest.keyClicks(widget, "Hello"), QTest.keyClick(widget, Key.Key_Return, Control))
        yield "leave", click(Key.Key_Escape)


def usable(root: QWidget) -> Iterator[QWidget]:
    """The controls that somebody with a keyboard can use now."""
    for widget in root.findChildren(QWidget):
        shown = widget.isVisible() and widget.isEnabled() and bool(widget.focusPolicy() & Qt.FocusPolicy.TabFocus)
        inner = isinstance(widget.parentWidget(), QAbstractSpinBox | QComboBox) or widget.objectName().startswith("qt_")
        if shown and isinstance(widget, CONTROLS) and not inner and widget.window() is root.window():
            yield widget


class Walk:
    """Through one room, or through the frame around the rooms."""

    def __init__(self, whole, room: str) -> None:
        self.whole, self.room = whole, room
        self.done: set[Action] = set()
        self.opener: dict[Action, Action | None] = {}  # what made it appear
        self.born: dict[Action, int] = {}  # after how many others
        self.lost: Counter[Action] = Counter()  # how often it was looked for
        self.wrong: list[str] = []

    @property
    def root(self) -> QWidget:
        return self.whole.window.room(self.room).widget() if self.room != FRAME else self.whole.window

    def there(self) -> dict[Action, tuple[QWidget, Callable[[], None]]]:
        """The actions there are now."""
        inside = self.whole.window.stack.isAncestorOf
        here = [w for w in usable(self.root) if self.room != FRAME or not inside(w)]
        return {(known(w, self.root), name): (w, act) for w in here for name, act in acts(w)}

    def begin(self) -> None:
        """Come back to the room as it is entered."""
        window = self.whole.window
        if self.room != FRAME and window.current_room != self.room:
            window.show_room(self.room)
        window.activateWindow()
        self.whole.settle()

    def all(self) -> None:
        """Do what has not been done until nothing is left: first what has just appeared, and what closes a page last."""
        self.begin()
        self.note(None)
        for _ in range(MOST):
            left = [action for action in self.there() if action not in self.done]
            if left:
                self.do(min(left, key=lambda action: (self.is_late(action), -self.born[action])))
            elif not self.go_back():
                return
        raise AssertionError(f"more than {MOST} actions in {self.room}")

    @staticmethod
    def is_late(action: Action) -> bool:
        """Whether it may put away what it is in."""
        return bool(BACK.search(action[0]) or ENDS.search(action[0])) or action[1].startswith(LATE)

    def note(self, by: Action | None) -> None:
        for action in self.there():
            if action not in self.opener:
                self.opener[action], self.born[action] = by, len(self.done)

    def do(self, action: Action) -> None:
        """Go to a control with the keyboard, use it, and look where the focus is."""
        widget, act = self.there()[action]
        self.done.add(action)
        widget.setFocus(Qt.FocusReason.TabFocusReason)
        act()
        self.whole.settle()
        while popup := QApplication.activePopupWidget():
            QTest.keyClick(popup, Key.Key_Escape)
        self.whole.settle()
        self.look(action, widget)
        self.begin()
        self.note(action)

    def look(self, action: Action, used: QWidget) -> None:
        """The focus is on what was used, or in a field, a list or another place that does nothing by itself, in front."""
        window, now = self.whole.window, QApplication.focusWidget()
        front = window.stack.currentWidget()
        inside = now is not None and (now is front or front.isAncestorOf(now) or not window.stack.isAncestorOf(now))
        alive = now is not None and now.isVisible() and now.isEnabled() and now.window() is window
        opener = self.opener.get(action)  # what lay over the room gives the focus back to the button that opened it
        given_back = opener is not None and now is not None and known(now, self.root) == opener[0]
        harmless = now is used or given_back or not isinstance(now, QAbstractButton)
        if not (inside and alive and harmless):
            self.wrong.append(f"{' → '.join(action)}: the focus is on {named(now)}")

    def go_back(self) -> bool:
        """Make something appear again that has not been used yet. False when nothing is left that can be reached."""
        for action in [action for action in self.opener if action not in self.done and self.lost[action] < TRIES]:
            self.lost[action] += 1
            for _ in range(3):  # out of what is open
                closers = [each for each in self.there() if BACK.search(each[0]) and each[1] == "press"]
                if action not in self.there() and closers:
                    self.do(closers[0])
            for step in self.way_to(action):
                if step in self.there() and action not in self.there():
                    self.do(step)
            if action in self.there():
                return True
        return False

    def way_to(self, action: Action) -> list[Action]:
        """What makes it appear, beginning with what is there from the start."""
        way: list[Action] = []
        while (by := self.opener.get(action)) is not None and by not in way:
            way.insert(0, by)
            action = by
        return way


@pytest.fixture
def whole(qtbot, context, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(type(context.theme), "set_mode", lambda *_: None)  # dressing it all again takes longer than all actions
    monkeypatch.setattr(preflight, "check_model", lambda *_: None)
    with no_other_window(monkeypatch):
        made = make_whole(context, monkeypatch)
        qtbot.addWidget(made.window)
        made.open(qtbot)
        made.window.room("chat").show_conversation(made.morning.conversation)
        yield made
        made.put_away()


@pytest.mark.parametrize("room", [*(spec.key for spec in ROOMS), FRAME])
@pytest.mark.timeout(600)
def test_after_every_action_the_focus_is_in_a_place_that_starts_nothing(whole, room):
    walk = Walk(whole, room)
    walk.all()
    left = sorted({control for control, _act in set(walk.opener) - walk.done if not GONE[room].search(control)})
    assert whole.reasons.strays == []  # first: what is shown as a window takes the focus from this one
    assert walk.wrong == []
    assert left == [], "there to use, and never used"
    assert len(walk.done) >= LEAST[room]
