"""At half as large again a text nothing is cut off, and every control of every form still has its name."""

import pytest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QTextBrowser,
    QWidget,
)

from rlhf_desktop.feedback.protocol import PRESETS
from rlhf_desktop.ui.judging.area import JudgingArea
from rlhf_desktop.ui.judging.presenter import Judging
from rlhf_desktop.ui.label.item_page import ItemPage
from rlhf_desktop.ui.label.protocol_page import ProtocolPage
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.text import ElidedLabel

CONTROLS = (QAbstractButton, QAbstractItemView, QComboBox, QLineEdit, QPlainTextEdit, QTextBrowser)


@pytest.fixture(scope="module")
def large(qapp, dressed):
    dressed.set_text_size(150)
    dressed.set_mode("dark")
    yield
    dressed.set_text_size(100)
    dressed.set_mode("light")


def cut(root):
    """Labels and buttons with less room than their words take."""
    found = []
    for widget in [*root.findChildren(QLabel), *root.findChildren(QAbstractButton)]:
        if not widget.isVisible() or isinstance(widget, ElidedLabel) or not widget.text():
            continue
        wanted = widget.sizeHint()
        wraps = isinstance(widget, QLabel) and widget.wordWrap()
        tall = widget.heightForWidth(widget.width()) if wraps else wanted.height()
        if widget.height() + 1 < tall or (not wraps and widget.width() + 1 < wanted.width()):
            found.append(f"{widget.text()[:40]}: {widget.width()}×{widget.height()} of {wanted.width()}×{tall}")
    return found


def fits(root):
    """Said again until the layouts have come to rest."""
    assert cut(root) == []
    return True


def nameless(root: QWidget):
    found = [w for w in root.findChildren(QWidget) if isinstance(w, CONTROLS) and not w.accessibleName()]
    return [type(w).__name__ for w in found if not w.objectName().startswith("qt_")]


@pytest.mark.parametrize("preset", ["Medicine", "Pairs with strength", "Sorting into groups"])
def test_every_form_fits_and_is_named(qtbot, large, store, session, preset):
    judging = Judging(store, session, lambda: "me", parent=session)
    area = JudgingArea(judging)
    page = ItemPage(area)
    qtbot.addWidget(page)
    page.resize(t.WINDOW_WIDTH - t.RAIL_WIDTH, t.WINDOW_HEIGHT)
    page.show()
    store.protocols.set(session.project.id, PRESETS[preset])
    _, leaf = store.conversations.start(session.project.id, [{"role": "user", "content": "How much may I take? " * 10}])
    nodes = store.conversations.add_answers(leaf.id, ["A long answer. " * 40, "Kurz.", "قصير", "`code`"][: PRESETS[preset].answers])
    judging.begin(tuple(node.id for node in nodes), "test")
    page.show_prompt([{"role": "user", "content": "How much may I take? " * 10}])
    area.board.cards[0].toggle_marking()
    area.board.cards[1].start_writing()
    qtbot.waitUntil(lambda: fits(page))
    assert nameless(page) == []


def test_the_protocol_form_fits_and_is_named(qtbot, large):
    page = ProtocolPage()
    qtbot.addWidget(page)
    page.resize(t.WINDOW_MIN_WIDTH, t.WINDOW_HEIGHT)
    page.show_protocol(PRESETS["Medicine"])
    page.show()
    qtbot.waitUntil(lambda: fits(page))
    assert nameless(page) == []
