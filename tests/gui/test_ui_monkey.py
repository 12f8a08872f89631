"""Thousands of keys pressed at random in the whole window: nothing starts by accident, nothing breaks, nothing is lost."""

import random
import string

import pytest
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QLineEdit, QMenu, QPlainTextEdit
from whole_window import make_whole, named, no_other_window

from rlhf_desktop.operations.blind import judge_pair as evaluate_pair
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.evaluate import room as evaluate
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.frame.room import ROOMS
from rlhf_desktop.ui.judging.presenter import Judging

Key = Qt.Key
SEED = 20
PLAINLY = Qt.KeyboardModifier.NoModifier
PLAIN = [ord(letter) for letter in string.ascii_uppercase + string.digits + "=+-?/.,"]
MOVES = [Key.Key_Tab] * 10 + [Key.Key_Backtab] * 3 + [Key.Key_Space] * 8 + [Key.Key_Return] * 6 + [Key.Key_Escape] * 4
ROUND = [Key.Key_Left, Key.Key_Right, Key.Key_Up, Key.Key_Down, Key.Key_Home, Key.Key_End, Key.Key_PageDown, Key.Key_Delete]


def chords(names=tuple(name for name in keymap.KEYS if name != "quit")):
    """Every key of the table but the one that closes the window."""
    found = [s for name in names for s in keymap.sequences(name)]
    return [(s[0].key(), s[0].keyboardModifiers()) for s in found if s[0].key() < Key.Key_F35 or s[0].key() == Key.Key_Help]


def a_key(chance, table, target):
    """The next key: much walking with Tab, much pressing of what has the focus, some typing, now and then another room."""
    kind = chance.random()
    if isinstance(target, QAbstractButton) and kind < 0.4:
        return Key.Key_Space, PLAINLY
    if isinstance(target, QLineEdit | QPlainTextEdit | QMenu) and kind < 0.4:
        return chance.choice((Key.Key_Tab, Key.Key_Escape)), PLAINLY
    if kind < 0.7:
        return chance.choice(MOVES), PLAINLY
    if kind < 0.8:
        return chance.choice(ROUND), PLAINLY
    return (Key(chance.choice(PLAIN)), PLAINLY) if kind < 0.9 else chance.choice(table)


@pytest.fixture
def whole(qtbot, context, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(type(context.theme), "set_mode", lambda *_: None)  # dressing it all again takes longer than a hundred keys
    with no_other_window(monkeypatch):
        made = make_whole(context, monkeypatch)
        qtbot.addWidget(made.window)
        made.open(qtbot)
        yield made
        made.put_away()


def press_at_random(whole, count):
    """Press them, and let what they lead to happen before the next one."""
    chance, table, rooms = random.Random(SEED), chords(), chords([spec.key for spec in ROOMS])
    for number in range(count):
        target = whole.focus
        key, held = a_key(chance, table, target) if number % 50 else rooms[number // 50 % len(rooms)]
        whole.causing(f"key {number} in {whole.window.current_room}: {key.name} {held.name} on {named(target)}")
        QTest.keyClick(target, key, held)
        QCoreApplication.processEvents()
        if number % 4 == 0:  # now and then wait for what they lead to; else the next key comes first, as with a quick hand
            whole.settle()
        whole.close_dialogs()


@pytest.mark.parametrize("count", [pytest.param(1_000, id="1000"), pytest.param(10_000, id="10000", marks=pytest.mark.slow)])
@pytest.mark.timeout(1800)
def test_random_keys_start_nothing_by_accident_and_lose_nothing(whole, monkeypatch, count):
    stored = []
    monkeypatch.setattr(Judging, "_store_it", _noting(Judging._store_it, stored))
    monkeypatch.setattr(evaluate, "judge_pair", lambda *a, **k: _kept(evaluate_pair(*a, **k), stored))
    store, rooms = whole.context.store, set()
    whole.window.roomChanged.connect(rooms.add)
    press_at_random(whole, count)
    for _ in range(4):
        QTest.keyClick(whole.focus, Key.Key_Escape)
    whole.settle()
    print(*whole.starts.seen, sep="\n")  # for who asks what the keys have reached
    assert whole.starts.accidental() == []
    assert whole.reasons.strays == []
    assert [top for top in QApplication.topLevelWidgets() if top.isVisible()] == [whole.window]
    with Store.open(store.path) as again:  # what others find in the file
        assert [judgement.id for judgement in again.judgements.by_ids(stored)] == stored
    assert len(rooms) == 7
    assert whole.starts.seen, "the keys reached nothing that starts work: they prove nothing"
    assert [t.detail for t in whole.troubles if "Something went wrong" in str(t)] == []


def _kept(judgement, stored):
    stored.append(judgement.id)
    return judgement


def _noting(store_it, stored):
    def noted(judging, judgement, showing):
        store_it(judging, judgement, showing)
        stored.append(judgement.id)

    return noted
