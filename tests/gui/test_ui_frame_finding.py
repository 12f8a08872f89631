"""The search finds what a person would type: actions, places in the rooms, and the guide."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QTabBar

from rlhf_desktop.ui.frame import finding
from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.help import guide
from rlhf_desktop.ui.help.ranking import Words, best
from rlhf_desktop.ui.widgets.buttons import Button

FIRST_THREE = [
    ("learning rate", "Learning rate"),
    ("undo", "Undo the last judgement"),
    ("export", "Export feedback"),
    ("dark", "Dark theme"),
    ("offline", "Offline, and what is ever sent"),
    ("backup", "Where things are, and backups"),
    ("why is PPO slow", "Why is a run slow?"),
    ("thumbs", "Thumbs"),
    ("erase", "Erase judgements for good"),
    ("new project", "New project"),
    ("rename project", "Rename this project"),
    ("temperature", "Temperature"),
    ("system prompt", "Instructions and sampling"),
    ("import csv", "Import feedback"),
    ("who am i", "Your name and role"),
    ("keyboard shortcuts", "Keys"),
    ("font size", "Appearance"),
    ("download a model", "Add a model"),
    ("reward hacking", "Over-optimisation"),
    ("confidence interval", "Confidence interval"),
    ("out of memory", "When memory runs out"),
    ("hugging face token", "Hugging Face token"),
    ("gpu", "Device to compute on"),
    ("lora", "LoRA"),
    ("resume", "Resume"),
    ("learnign rate", "Learning rate"),
    ("is it better", "Compare two models blind"),
    ("delete conversation", "Conversations"),
    ("new chat", "New conversation"),
    ("sycophancy", "Sycophancy"),
    ("ollama", "Add a model"),
    ("bias", "Bias of raters"),
]


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


@pytest.mark.parametrize(("typed", "wanted"), FIRST_THREE, ids=[typed for typed, _wanted in FIRST_THREE])
def test_what_a_person_types_is_among_the_first_three(window, typed, wanted):
    found = [command.text for command in window.desk.find(typed)]
    assert wanted in found[:3], found


def test_nothing_is_found_for_what_nothing_knows(window):
    assert window.desk.find("xyzzy qwrtz") == []
    assert len(window.desk.find("a")) <= finding.MOST


def test_a_place_is_brought_into_sight(qtbot, window, context):
    for spot in finding.SPOTS:
        (command,) = [command for command in window.desk._commands() if command.text == spot.text]
        command.run()
        context.tasks.wait()
        assert window.current_room == spot.room
        if spot.part:
            assert finding._named(window.room(spot.room).widget(), spot.part) is not None, spot
        if spot.tab:
            (bar,) = window.room(spot.room).widget().findChildren(QTabBar)
            assert bar.tabText(bar.currentIndex()) == spot.tab


def test_what_a_heading_is_over_is_seen_too(qtbot, window, context):
    window.resize(1280, 800)
    next(command for command in window.desk._commands() if command.text == "Encryption and passphrase").run()
    card = window.room("settings").encryption
    area = window.room("settings").widget()
    qtbot.waitUntil(lambda: 0 <= card.mapTo(area, card.rect().topLeft()).y() < area.height() // 3)
    qtbot.waitUntil(lambda: any(button.isVisible() for button in card.findChildren(Button)))  # once it is known what there is
    qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Tab)
    assert card.isAncestorOf(window.focusWidget())


def test_a_page_that_was_found_is_opened_in_the_help(qtbot, window):
    palette = window.palette_view
    palette.open()
    qtbot.keyClicks(palette.field, "perplexity")
    assert palette.found.item(0).text().startswith("Perplexity")
    palette._run_current()
    assert window.help.pane.target == "glossary#perplexity"
    assert window.help.pane.isVisible()
    assert window.help.pane.isAncestorOf(QApplication.focusWidget())


def test_every_section_of_the_guide_is_found_by_its_own_title(window):
    for name in guide.page_names():
        for section in guide.page(name).sections:
            found = best(section.title, guide.sections(), lambda each: Words(each.title, each.also, each.text), 8)
            assert section.title in [each.title for each in found], section.target


def test_every_word_has_to_match_and_titles_count_most():
    things = {"title": Words("Kl penalty"), "alias": Words("Drift", "kl, penalty"), "text": Words("Other", "", "the kl penalty")}
    assert best("kl penalty", things, things.__getitem__, 9) == ["title", "alias", "text"]
    assert best("kl nothing", things, things.__getitem__, 9) == []
    assert best("pen", things, things.__getitem__, 9) == ["title", "alias"]
    assert best("penaltly", things, things.__getitem__, 9) == ["title", "alias", "text"]
    assert best("penaltly", things, things.__getitem__, 9, forgiving=False) == []
    assert best("  ", things, things.__getitem__, 9) == []
