"""Help in the window: F1 opens the page for what is in front, beside it, and Esc gives the focus back."""

import re

import pytest
from PySide6.QtCore import QPoint, Qt, QUrl
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QApplication, QMessageBox, QWidget

from rlhf_desktop.core.offline import NetworkRule
from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.room import ROOMS
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.help import guide, places
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.markdown import ask_to_open

FILES = sorted(file.stem for file in guide.folder().glob("*.md"))


@pytest.fixture
def window(qtbot, context):
    made = Window(context)
    made.desk = Desk(context, made)
    qtbot.addWidget(made)
    made.show()
    made.show_room("chat")
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow)
    yield made
    context.chat.stateChanged.disconnect()  # the worker ends after the window is gone
    context.tasks.wait()


def press(qtbot, key):
    qtbot.keyClick(QApplication.focusWidget(), key)


def test_every_screen_has_a_page_that_is_there():
    targets = [*places.ROOMS.values(), *places.PAGES.values(), *places.PARTS.values(), *places.RECIPES.values()]
    for target in targets:
        name, _, anchor = target.partition("#")
        assert name in FILES
        assert not anchor or anchor in {section.anchor for section in guide.page(name).sections}, target


def test_every_screen_that_has_a_page_exists():
    from rlhf_desktop import ui  # all of it, so that every class of a screen is known

    texts = [file.read_text("utf-8") for file in sorted(next(iter(map(_folder, [ui]))).rglob("*.py"))]
    classes = {name for text in texts for name in re.findall(r"^class (\w+)", text, re.MULTILINE)}
    assert [name for name in {**places.PAGES, **places.PARTS} if name not in classes] == []
    assert set(places.ROOMS) == {"", *(spec.key for spec in ROOMS)}


def _folder(package):
    from pathlib import Path

    return Path(package.__file__).parent


@pytest.mark.parametrize("key", [spec.key for spec in ROOMS])
def test_f1_opens_the_rooms_page_beside_it_and_esc_gives_the_focus_back(qtbot, window, context, key):
    window.show_room(key)
    context.tasks.wait()
    window.room(key).focus_place().setFocus()
    before = QApplication.focusWidget()
    press(qtbot, Qt.Key.Key_F1)
    assert window.help.pane.isVisible()
    assert window.help.pane.target.partition("#")[0] == places.ROOMS[key]
    assert window.focusWidget() is window.help.pane.view
    press(qtbot, Qt.Key.Key_Escape)
    assert not window.help.pane.isVisible()
    assert window.focusWidget() is before


def test_f1_on_the_welcome_page_opens_the_first_round(qtbot, window):
    window.show_welcome()
    window.help.toggle()
    assert window.help.pane.target == "first-round"


def test_the_start_panel_of_ppo_has_ppos_own_page(qtbot, window):
    class StartPanel(QWidget):  # known by its name, as the real one is
        algorithm = "ppo"

    window.show_room("train")
    panel = StartPanel(window.room("train").widget())
    panel.show()
    assert window.help.place() == "trainers#what-ppo-does-in-one-round"
    panel.algorithm = "sft"
    assert window.help.place() == "trainers#four-ways-to-learn"


def test_f1_inside_the_help_closes_it(qtbot, window):
    window.room("chat").focus_place().setFocus()
    press(qtbot, Qt.Key.Key_F1)
    press(qtbot, Qt.Key.Key_F1)
    assert not window.help.pane.isVisible()


def test_the_page_goes_with_the_room_until_the_reader_goes_elsewhere(window):
    window.help.toggle()
    window.show_room("models")
    assert window.help.pane.target == "models"
    window.help.pane.show_target("trainers")
    window.show_room("feedback")
    assert window.help.pane.target == "trainers"


@pytest.mark.parametrize("name", FILES)
def test_every_page_is_shown_with_all_its_headings(window, name):
    window.help.open(name)
    wanted = [guide.slug(section.title) for section in guide.page(name).sections if section.level]
    assert window.help.pane.view.headings() == wanted
    for section in guide.page(name).sections:
        window.help.open(section.target)
        assert window.help.pane.target == section.target


def test_a_link_goes_to_its_heading_and_back_returns(qtbot, window):
    window.resize(1280, 800)
    window.help.open("chat")
    view = window.help.pane.view
    view.anchorClicked.emit(QUrl("glossary.md#perplexity"))
    assert window.help.pane.target == "glossary#perplexity"
    assert view.top_heading() == "perplexity"
    window.help.pane.back()
    assert window.help.pane.target == "chat"


def test_keys_scroll_the_page(qtbot, window):
    window.help.open("trainers")
    bar = window.help.pane.view.verticalScrollBar()
    for key in (Qt.Key.Key_Down, Qt.Key.Key_PageDown, Qt.Key.Key_End):
        before = bar.value()
        press(qtbot, key)
        assert bar.value() > before
    press(qtbot, Qt.Key.Key_Home)
    assert bar.value() == 0


def test_the_room_keeps_the_width_it_needs(qtbot, window):
    window.resize(1280, 800)
    window.help.open("chat")
    pane, stack = window.help.pane, window.stack
    assert pane.width() >= t.HELP_MIN_WIDTH
    assert stack.geometry().right() < pane.geometry().left()
    assert stack.width() >= stack.minimumSizeHint().width()
    window.resize(900, 700)
    assert window.help.beside.over
    assert stack.width() == window.help.beside.width()
    assert pane.geometry().right() < window.help.beside.width()


def test_the_width_is_changed_by_keys_and_remembered(qtbot, window, context):
    window.resize(1900, 900)
    window.help.open("chat")
    before = window.help.pane.width()
    window.help.beside.grip.setFocus()
    press(qtbot, Qt.Key.Key_Left)
    wider = window.help.pane.width()
    assert wider > before
    another = Window(context)
    qtbot.addWidget(another)
    another.resize(1900, 900)
    another.show()
    another.help.open("chat")
    assert another.help.pane.width() == wider


def test_the_search_reads_all_pages_and_enter_goes_there(qtbot, window):
    window.help.open("chat")
    search = window.help.pane.search
    search.setFocus()
    qtbot.keyClicks(search, "ensembles of scorers")
    assert window.help.pane.found.isVisible()
    qtbot.keyClick(search, Qt.Key.Key_Return)
    assert window.help.pane.target == "glossary#ensemble"
    assert window.help.pane.view.isVisible()
    search.setFocus()
    qtbot.keyClicks(search, "xyzzy")
    assert "Nothing in the guide" in window.help.pane.found.item(0).text()
    qtbot.keyClick(search, Qt.Key.Key_Return)
    assert window.help.pane.target == "glossary#ensemble"
    qtbot.keyClick(search, Qt.Key.Key_Escape)
    assert window.help.pane.isVisible()
    assert window.help.pane.view.isVisible()


def test_the_guide_reads_its_own_pictures_and_no_other_file(window, tmp_path):
    stranger = tmp_path / "secret.png"
    window.grab().save(str(stranger))
    view = window.help.pane.view
    window.help.open("chat")
    kind = QTextDocument.ResourceType.ImageResource.value
    for name in (
        str(stranger),
        stranger.as_uri(),
        f"pictures/../../../..{stranger}",
        "../icons/chat.svg",
        "http://127.0.0.1/a.png",
    ):
        assert view.loadResource(kind, QUrl(name)).width() == 1
    assert (
        t.SPACE_XXL < view.loadResource(kind, QUrl("pictures/chat.png")).deviceIndependentSize().width() <= view.viewport().width()
    )


def test_a_link_out_of_the_guide_shows_its_address_and_stays_closed_offline(qtbot, window, monkeypatch, session):
    opened = []
    monkeypatch.setattr("rlhf_desktop.ui.widgets.markdown.QDesktopServices.openUrl", opened.append)
    monkeypatch.setattr("rlhf_desktop.ui.widgets.markdown.is_offline", lambda: True)
    session.set_network(NetworkRule(offline=True))
    window.help.open("chat")
    window.help.pane.view.anchorClicked.emit(QUrl("https://example.com/page"))
    (question,) = window.help.pane.findChildren(QMessageBox)
    assert question.informativeText() == "https://example.com/page"
    assert "Offline" in question.text()
    assert opened == []
    question.close()


def test_a_word_clicked_in_a_room_opens_the_glossary(qtbot, window):
    label = TermLabel("Held out", parent=window.room("chat").widget())
    label.resize(200, 30)
    label.show()
    qtbot.mouseClick(label, Qt.MouseButton.LeftButton, pos=QPoint(10, 15))
    assert window.help.pane.target == "glossary#held-out"
    assert window.help.pane.isVisible()


def test_a_page_that_is_not_there_shows_the_contents(window):
    window.help.open("../../etc/passwd")
    assert window.help.pane.target == guide.CONTENTS


def test_f1_in_a_question_opens_the_rooms_page_beside_it_and_closes_nothing(qtbot, window):
    window.show_room("train")
    ask_to_open(QUrl("https://example.org/a"), "This link leads to a web page.", window.room("train").widget())
    (question,) = window.findChildren(QMessageBox)
    qtbot.waitUntil(question.isActiveWindow)
    assert not window.help.shown
    qtbot.keyClick(question, Qt.Key.Key_F1)
    assert window.help.shown
    assert window.help.pane.target == "training"
    assert question.isVisible()
    question.reject()
