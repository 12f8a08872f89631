"""The right button in every kind of text: the program's own words, only what can be done, and links that give their address."""

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QContextMenuEvent, QGuiApplication
from PySide6.QtWidgets import QApplication, QComboBox, QLabel, QLineEdit, QMenu, QPlainTextEdit, QSpinBox, QVBoxLayout, QWidget

from rlhf_desktop.ui.frame.textmenu import TextMenus
from rlhf_desktop.ui.widgets.markdown import MarkdownView


@pytest.fixture
def window(qtbot, theme):
    made = QWidget()
    QVBoxLayout(made)
    made.menus = TextMenus(made)
    qtbot.addWidget(made)
    made.show()
    QGuiApplication.clipboard().clear()
    return made


def put(window, widget):
    window.layout().addWidget(widget)
    widget.show()
    widget.setFocus()
    QApplication.processEvents()
    return widget


def right_click(qtbot, widget, at=None):
    """With what the right button does before: it gives the focus."""
    at = at or QPoint(5, 5)
    over = widget.viewport() if hasattr(widget, "viewport") else widget
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, at, over.mapToGlobal(at))
    QApplication.sendEvent(over, event)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    return menu


def words_of(menu, only_on=False):
    actions = [action for action in menu.actions() if not action.isSeparator() and (action.isEnabled() or not only_on)]
    return [action.text().partition("\t")[0] for action in actions]


def choose(menu, words):
    action = next(action for action in menu.actions() if action.text().partition("\t")[0] == words)
    menu.close()
    action.trigger()


FIELD = ["Undo", "Redo", "Cut", "Copy", "Paste", "Delete", "Select all"]


@pytest.mark.parametrize("make", [QLineEdit, QPlainTextEdit])
def test_a_field_offers_what_can_be_done_now(qtbot, window, make):
    field = put(window, make())
    menu = right_click(qtbot, field)
    assert words_of(menu) == FIELD
    assert words_of(menu, only_on=True) == []
    menu.close()
    qtbot.keyClicks(field, "some words")
    field.selectAll()
    menu = right_click(qtbot, field)
    assert words_of(menu, only_on=True) == ["Undo", "Cut", "Copy", "Delete", "Select all"]
    assert menu.actions()[0].text().endswith("Ctrl+Z")
    assert not menu.actions()[0].icon().isNull()
    choose(menu, "Cut")
    assert QGuiApplication.clipboard().text() == "some words"
    choose(right_click(qtbot, field), "Paste")
    assert (field.text() if make is QLineEdit else field.toPlainText()) == "some words"
    field.selectAll()
    choose(right_click(qtbot, field), "Delete")
    assert (field.text() if make is QLineEdit else field.toPlainText()) == ""


def test_a_password_is_not_copied(qtbot, window):
    field = put(window, QLineEdit("hunter2"))
    field.setEchoMode(QLineEdit.EchoMode.Password)
    field.selectAll()
    menu = right_click(qtbot, field)
    assert words_of(menu, only_on=True) == ["Delete", "Select all"]
    menu.close()


@pytest.mark.parametrize("make", [QSpinBox, QComboBox])
def test_fields_within_other_controls_have_it_too(qtbot, window, make):
    control = make()
    if make is QComboBox:
        control.setEditable(True)
    put(window, control)
    menu = right_click(qtbot, control.lineEdit())
    assert words_of(menu) == FIELD
    menu.close()


def test_a_text_to_read_is_copied_whole_or_in_part(qtbot, window):
    view = put(window, MarkdownView("One **answer** to read."))
    menu = right_click(qtbot, view, QPoint(2, 4))
    assert words_of(menu) == ["Copy the whole text", "Select all"]
    choose(menu, "Copy the whole text")
    assert QGuiApplication.clipboard().text() == "One answer to read."
    view.selectAll()
    menu = right_click(qtbot, view, QPoint(2, 4))
    assert words_of(menu) == ["Copy", "Copy the whole text", "Select all"]
    menu.close()


def test_a_link_gives_its_address_and_asks_before_it_opens(qtbot, window):
    view = put(window, MarkdownView("[the rule](https://example.org/a?b=1&c=2)"))
    menu = right_click(qtbot, view, QPoint(10, 8))
    assert words_of(menu)[:2] == ["Open this link…", "Copy address"]
    choose(menu, "Copy address")
    assert QGuiApplication.clipboard().text() == "https://example.org/a?b=1&c=2"
    with qtbot.waitSignal(view.anchorClicked) as clicked:
        choose(right_click(qtbot, view, QPoint(10, 8)), "Open this link…")
    assert clicked.args[0].toString() == "https://example.org/a?b=1&c=2"
    QApplication.activeModalWidget().close()  # the question


def test_a_label_that_can_be_selected_is_copied(qtbot, window):
    label = QLabel("/home/me/RLHF & more")
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
    put(window, label)
    choose(right_click(qtbot, label), "Copy")
    assert QGuiApplication.clipboard().text() == "/home/me/RLHF & more"


def test_a_menu_of_its_own_is_left_alone(qtbot, window):
    field = QLineEdit()
    field.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
    own = []
    field.customContextMenuRequested.connect(own.append)
    put(window, field)
    QApplication.sendEvent(field, QContextMenuEvent(QContextMenuEvent.Reason.Mouse, QPoint(3, 3), field.mapToGlobal(QPoint(3, 3))))
    assert own == [QPoint(3, 3)]
    assert QApplication.activePopupWidget() is None


def test_more_stands_above(qtbot, window):
    field = put(window, QLineEdit("teh"))
    window.menus.more = lambda text, at: [[]]
    menu = right_click(qtbot, field)
    assert not menu.actions()[0].isSeparator()
    menu.close()
