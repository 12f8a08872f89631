"""Misspelled words are underlined where one writes, and put right under the right button."""

import pytest
from PySide6.QtCore import QPoint
from PySide6.QtGui import QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QApplication, QPlainTextEdit, QVBoxLayout, QWidget

from rlhf_desktop.operations import spelling as operation
from rlhf_desktop.ui.chat.composer import GrowingEdit
from rlhf_desktop.ui.frame import spelling
from rlhf_desktop.ui.frame.spelling import Marks, Spelling, language_name
from rlhf_desktop.ui.frame.textmenu import TextMenus
from rlhf_desktop.ui.settings.room import SettingsRoom
from rlhf_desktop.ui.widgets.markdown import MarkdownView


class Words:
    def __init__(self, language):
        self.known = {"en_US": {"the", "blender", "broke"}, "de_DE": {"der", "mixer"}}[language]

    def check(self, word):
        return word.lower() in self.known

    def suggest(self, word):
        return ["blender", "blonder"]

    def add(self, word):
        self.known.add(word.lower())


@pytest.fixture
def system(monkeypatch):
    """A system with two dictionaries."""
    for module in (operation, spelling):
        monkeypatch.setattr(module, "languages", lambda: ["de_DE", "en_US"])
        monkeypatch.setattr(module, "dictionary", lambda language: None if language == "off" else Words(language))
    monkeypatch.setattr(spelling, "PAUSE_MS", 0)


@pytest.fixture
def window(qtbot, system, context):
    context.store.settings.set("spelling", "en_US")
    made = QWidget()
    QVBoxLayout(made)
    made.menus = TextMenus(made)
    made.spelling = Spelling(context.store.settings, context.tasks, made)
    made.menus.more = made.spelling.offers
    qtbot.addWidget(made)
    made.show()
    qtbot.waitUntil(lambda: made.spelling.words is not None)
    return made


def put(window, field):
    window.layout().addWidget(field)
    field.show()
    field.setFocus()
    QApplication.processEvents()
    return field


def marked(field):
    return [each.cursor.selectedText() for each in field.extraSelections()]


def test_what_is_misspelled_is_underlined_once_it_is_written(qtbot, window):
    field = put(window, GrowingEdit("Message", ""))
    qtbot.keyClicks(field, "Teh")
    qtbot.waitUntil(lambda: not field.findChild(Marks)._pause.isActive())
    assert marked(field) == [], "not while it is being typed"
    qtbot.keyClicks(field, " blnder broke ")
    qtbot.waitUntil(lambda: marked(field) == ["Teh", "blnder"])
    shown = field.extraSelections()
    assert shown[0].format.underlineStyle() == QTextCharFormat.UnderlineStyle.SpellCheckUnderline
    assert field.toPlainText() == "Teh blnder broke "


def test_letters_that_qt_counts_twice_do_not_shift_the_line(window):
    field = QPlainTextEdit("😀😀 blnder broke")
    put(window, field)
    assert marked(field) == ["blnder"]


def test_a_suggestion_takes_the_words_place_and_can_be_undone(window):
    field = put(window, QPlainTextEdit("the blnder broke"))
    menu = window.menus.show_menu(field, field.cursorRect(at_word(field, 6)).center())
    words = [action.text() for action in menu.actions()]
    assert words[:2] == ["blender", "blonder"]
    assert words[3] == "Add “blnder” to the dictionary"
    menu.close()
    menu.actions()[0].trigger()
    assert field.toPlainText() == "the blender broke"
    field.undo()
    assert field.toPlainText() == "the blnder broke"


def test_an_added_word_is_known_in_every_field(window):
    one, other = put(window, QPlainTextEdit("blnder")), QPlainTextEdit("the blnder ")
    put(window, other)
    window.menus.more(other, other.cursorRect(at_word(other, 6)).center())[1][0].do()
    assert marked(one) == marked(other) == []


def test_a_right_word_and_a_text_to_read_offer_none(window):
    field = put(window, QPlainTextEdit("the blender"))
    assert window.menus.more(field, QPoint(5, 5)) == []
    view = put(window, MarkdownView("blnder"))
    assert view.findChild(Marks) is None
    assert window.menus.more(view, QPoint(5, 5)) == []


def test_another_language_or_none_is_chosen_and_kept(window, context):
    field = put(window, QPlainTextEdit("the mixer "))
    assert marked(field) == ["mixer"]
    window.spelling.choose("de_DE")
    assert marked(field) == ["the"]
    window.spelling.choose("off")
    assert marked(field) == []
    assert window.menus.more(field, QPoint(5, 5)) == []
    assert context.store.settings.get("spelling") == "off"


def test_a_choice_is_not_lost_to_the_beginning(qtbot, system, context):
    context.store.settings.set("spelling", "off")
    begun = Spelling(context.store.settings, context.tasks)
    begun.choose("en_US")
    qtbot.waitUntil(lambda: not context.tasks.busy)
    assert begun.words is not None


def test_settings_choose_the_language(qtbot, system, context, monkeypatch):
    monkeypatch.setattr("rlhf_desktop.ui.settings.room.languages", lambda: ["de_DE", "en_US"])
    context.store.settings.set("spelling", "en_US")
    room = SettingsRoom(context)
    qtbot.addWidget(room.widget())
    assert [room.spelling.itemText(row) for row in range(3)] == ["Off", "Deutsch (Deutschland)", "American English (United States)"]
    assert room.spelling.currentData() == "en_US"
    with qtbot.waitSignal(context.session.spellingChosen) as chosen:
        room.spelling.setCurrentIndex(1)
        room.spelling.activated.emit(1)
    assert chosen.args == ["de_DE"]


def test_settings_say_what_a_missing_one_needs(qtbot, context, monkeypatch):
    monkeypatch.setattr("rlhf_desktop.ui.settings.room.languages", list)
    room = SettingsRoom(context)
    qtbot.addWidget(room.widget())
    assert not hasattr(room, "spelling")


def test_languages_are_called_as_their_speakers_do():
    assert language_name("de_AT") == "Österreichisches Deutsch (Österreich)"
    assert language_name("eo") == "Esperanto"
    assert language_name("xx_nonsense") == "xx_nonsense"


def at_word(field, position):
    cursor = field.textCursor()
    cursor.setPosition(position, QTextCursor.MoveMode.MoveAnchor)
    return cursor
