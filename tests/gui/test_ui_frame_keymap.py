"""One table of keys: a meaning has one key, a letter one meaning, and nothing else in the window's code names a key."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent

import rlhf_desktop.ui
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.frame.room import ROOMS

UI = Path(rlhf_desktop.ui.__file__).parent
TABLE = UI / "frame" / "keymap.py"
LAYOUTS = UI / "judging" / "keys.py"  # where letters lie on keyboards, not what they do
K, M = Qt.Key, Qt.KeyboardModifier

_CHORD = re.compile(r"\b(Ctrl|Alt|Shift|Meta|Cmd)\+\S|⌘")
_IN_BRACKETS = re.compile(r"\(([A-Z=0+−-]|Esc|Enter|Return|Backspace|Delete|Space|F\d+)\)$")


def named_keys(source: str) -> list[str]:
    """What in a module's code names a key: Qt's names for them, chords, and keys in brackets at the end of a tooltip."""
    tree = ast.parse(source)
    docs = {id(node.body[0].value) for node in ast.walk(tree) if _has_doc(node)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("Key_"):
            found.append(f"{node.lineno}: {node.attr}")
        elif isinstance(node, ast.Attribute) and node.attr == "StandardKey":
            found.append(f"{node.lineno}: StandardKey")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            if _CHORD.search(node.value) or _IN_BRACKETS.search(node.value):
                found.append(f"{node.lineno}: {node.value!r}")
        elif isinstance(node, ast.Call):
            found += [f"{node.lineno}: {said!r}" for said in _literal_sequences(node)]
    return found


def _has_doc(node: ast.AST) -> bool:
    holds = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and bool(node.body)
    return holds and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)


def _literal_sequences(call: ast.Call) -> list[str]:
    """Literal keys given to what takes keys: QKeySequence, QShortcut, `shortcut=`, setShortcut, and comparisons with `symbol`."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    given = [*call.args] if name in ("QKeySequence", "QShortcut", "setShortcut", "setShortcuts") else []
    given += [word.value for word in call.keywords if word.arg == "shortcut"]
    return [node.value for node in given if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value]


def asks_for_letters(source: str) -> list[str]:
    """Modules that ask what letter is typed instead of what it means."""
    imported = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    from_keys = [node for node in imported if node.module == "rlhf_desktop.ui.judging.keys"]
    return [alias.name for node in from_keys for alias in node.names if alias.name == "symbol"]


@pytest.mark.parametrize("path", sorted(set(UI.rglob("*.py")) - {TABLE, LAYOUTS}), ids=lambda path: str(path.relative_to(UI)))
def test_no_key_is_named_outside_the_table(path):
    source = path.read_text("utf-8")
    assert named_keys(source) == []
    assert asks_for_letters(source) == []


def test_keys_named_elsewhere_are_found():
    """What the test above looks for."""
    for line in (
        "a = Qt.Key.Key_Escape",
        "QShortcut('F5', self)",
        "b = Button('x', shortcut='F2')",
        "b.setToolTip('Skip  (S)')",
        "c = QKeySequence.StandardKey.Find",
        "d = caption('Ctrl+Enter keeps')",
        "b.setShortcut('Q')",
    ):
        assert named_keys(line), line
    assert asks_for_letters("from rlhf_desktop.ui.judging.keys import symbol")
    assert named_keys('"""Ctrl+K: find."""') == []


def test_every_use_is_of_a_key_there_is_and_every_key_is_used(qapp):
    assert {use.name for use in keymap.USES} == set(keymap.KEYS)
    assert {use.place for use in keymap.USES} == set(keymap.PLACES)
    rooms = {spec.key for spec in ROOMS}
    assert {room for place in keymap.PLACES.values() for room in place.rooms} <= rooms
    assert all(spec.shortcut == keymap.text(spec.key) for spec in ROOMS)


def test_a_letter_means_one_thing_in_the_whole_program(qapp):
    letters = Counter(key for keys in keymap.KEYS.values() for key in keys if isinstance(key, str) and len(key) == 1)
    assert {letter: n for letter, n in letters.items() if n > 1} == {}


def test_in_one_place_a_key_does_one_thing(qapp):
    for place in keymap.PLACES:
        pressed = [s.toString() for use in keymap.USES if use.place == place for s in keymap.sequences(use.name)]
        assert len(pressed) == len(set(pressed)), place


def test_a_shortcut_of_the_window_is_no_room_s_key(qapp):
    def keys_of(*places):
        return {s.toString() for use in keymap.USES if use.place in places for s in keymap.sequences(use.name)}

    others = keys_of(*(place for place in keymap.PLACES if place != "window"))
    assert keys_of("window") & others == set()


def press(key, modifiers=M.NoModifier, text=""):
    return QKeyEvent(QEvent.Type.KeyPress, key, modifiers, text)


@pytest.mark.parametrize(
    ("event", "place", "name"),
    [
        ((K.Key_Y, M.NoModifier, "y"), "judging", "why"),
        ((K.Key_Y, M.NoModifier, "y"), "blind", "why"),
        ((K.Key_Y, M.ControlModifier, "\x19"), "judging", ""),
        ((K.Key_Return, M.NoModifier, "\r"), "judging", "save"),
        ((K.Key_Return, M.ShiftModifier, "\r"), "judging", "save"),  # Shift is still held for AZERTY's digits
        ((K.Key_Enter, M.KeypadModifier, "\r"), "judging", "save"),
        ((K.Key_Return, M.ControlModifier, "\r"), "judging", ""),
        ((K.Key_Return, M.NoModifier, "\r"), "composer", "send"),
        ((K.Key_Return, M.ShiftModifier, "\r"), "composer", "new line"),
        ((K.Key_Return, M.ControlModifier, "\r"), "writing", "keep"),
        ((K.Key_Left, M.KeypadModifier, ""), "marking", "left"),
        ((K.Key_Left, M.ShiftModifier, ""), "marking", "select"),
        ((K.Key_Delete, M.NoModifier, ""), "conversations", "delete"),
        ((K.Key_1, M.ShiftModifier, "1"), "rating", "number"),
        ((K.Key_Plus, M.ShiftModifier, "+"), "judging", "thumb up"),
        ((K.Key_Shift, M.ShiftModifier, ""), "judging", ""),
    ],
    ids=str,
)  # fmt: skip
def test_what_a_press_says(qapp, event, place, name):
    assert keymap.heard(press(*event), place) == name
    assert keymap.pressed(press(*event), place) == name


def test_how_keys_are_written(qapp):
    assert [keymap.shown(name) for name in ("save", "leave", "left", "thumb down", "number", "keep")] == [
        "Enter", "Esc", "←", "−", "1–9", "Ctrl+Enter",
    ]  # fmt: skip
    assert keymap.all_shown("save") == ["Enter"]
    assert keymap.tip("Skip", "skip") == "Skip  (S)"


def test_only_a_press_is_a_press_and_only_an_override_is_an_override():
    undo = [QKeyEvent(kind, K.Key_Z, M.ControlModifier) for kind in (QEvent.Type.KeyPress, QEvent.Type.ShortcutOverride)]
    assert [keymap.pressed(event, "window") for event in [*undo, QEvent(QEvent.Type.Enter)]] == ["undo", "", ""]
    assert [keymap.overrides(event, "undo", "window") for event in [*undo, QEvent(QEvent.Type.Enter)]] == [False, True, False]
    assert not keymap.overrides(undo[1], "redo", "window")
