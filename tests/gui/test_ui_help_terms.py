"""The technical words of the screens: each is in the glossary, and found where it stands."""

import pytest
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QHelpEvent
from PySide6.QtWidgets import QApplication, QToolTip, QVBoxLayout, QWidget

from rlhf_desktop.core.recipes import ALGORITHMS, describe
from rlhf_desktop.operations.plain_words import setting_label
from rlhf_desktop.ui.help import words
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.help.terms import terms, terms_in
from rlhf_desktop.ui.widgets.text import Label


def names(*texts):
    return [term.name for term in terms_in(texts)]


def test_every_term_has_a_meaning_and_no_name_has_two():
    assert all(term.meaning and not term.meaning.startswith("Also:") for term in terms())
    said = [name.casefold() for term in terms() for name in term.names]
    assert sorted({name for name in said if said.count(name) > 1}) == []
    assert all(term.short.endswith((".", "!", "?")) for term in terms())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("reward model · suggested next", ["Reward model"]),
        ("Price of drift (KL)", ["Drift", "KL penalty"]),
        ("Adapter capacity (LoRA rank)", ["Adapter", "LoRA"]),
        ("Held-out prompts", ["Held out"]),
        ("Improve with PPO", ["PPO"]),
        ("an upbeat appo", []),
        ("PPO-like, ppo", []),
        ("In 4-bit numbers: a quarter of the memory", ["Quantised"]),
        ("A run of prompts", []),
    ],
)
def test_terms_are_found_as_whole_words(text, found):
    assert names(text) == found


def test_every_technical_setting_is_explained():
    labels = {setting_label(setting.name) for algorithm in ALGORITHMS for setting in describe(algorithm)}
    technical = [label for label in labels if "(" in label]
    assert technical
    assert [label for label in technical if not names(label)] == []


@pytest.fixture
def screen(qtbot):
    made = QWidget()
    box = QVBoxLayout(made)
    for text in ("Drift from the starting model (KL)", "Nothing special"):
        box.addWidget(Label(text))
    hidden = Label("PPO")
    box.addWidget(hidden)
    hidden.hide()
    qtbot.addWidget(made)
    made.show()
    return made


def test_the_menu_offers_the_words_of_the_screen(screen):
    opened = []
    menu = words.menu(screen, screen, opened.append)
    assert [action.text() for action in menu.actions() if action.text()] == ["Drift", "All words", "The guide"]
    menu.actions()[0].trigger()
    assert opened == ["glossary#drift"]
    assert words.lead(screen) == "*Words on this screen:* [Drift](glossary.md#drift)"


def middle(label, name):
    (rect,) = [rect for rect, term in label.rects() if term.name == name]
    return rect.center()


def test_a_word_is_where_it_is_drawn_in_one_line_and_in_several(qtbot):
    text = "Price of drift (KL), and further on the learning rate of the whole"
    for wrap, width in ((False, 600), (True, 160)):
        label = TermLabel(text, wrap=wrap)
        qtbot.addWidget(label)
        label.resize(width, 120)
        found = {term.name: rect for rect, term in label.rects()}
        assert set(found) == {"KL penalty", "Drift", "Learning rate"}
        before = label.fontMetrics().horizontalAdvance("Price of drift (")
        assert abs(found["Drift"].left() - before) <= 2
        assert (found["Learning rate"].top() > found["Drift"].top()) is wrap
        assert all(label.rect().contains(rect.toAlignedRect()) for rect in found.values())


def test_a_click_on_a_word_asks_for_its_page_and_elsewhere_for_nothing(qtbot):
    class Heard(QWidget):
        asked = []

        def event(self, event):
            if event.type() == QEvent.Type.WhatsThisClicked:
                self.asked.append(event.href())
            return super().event(event)

    holder = Heard()
    label = TermLabel("Weight of the reward model", parent=holder)
    qtbot.addWidget(holder)
    label.resize(400, 30)
    holder.show()
    for at in (middle(label, "Reward model").toPoint(), QPoint(3, 15)):
        qtbot.mouseClick(label, Qt.MouseButton.LeftButton, pos=at)
    assert holder.asked == ["glossary#reward-model"]
    qtbot.mouseMove(label, middle(label, "Reward model").toPoint())
    assert label.hasMouseTracking()


def test_a_label_tells_its_words_where_it_has_no_tooltip(screen, monkeypatch):
    shown = []
    monkeypatch.setattr(QToolTip, "showText", lambda _at, text, _widget: shown.append(text))
    tips = words.WordTips(screen)
    for label in screen.findChildren(Label):
        monkeypatch.setattr(QApplication, "widgetAt", lambda _at, label=label: label)
        tips.eventFilter(screen, QHelpEvent(QEvent.Type.ToolTip, QPoint(), QPoint()))
    assert shown[0].startswith("Drift: How far a trained model has moved")
    assert len(shown) == 2  # nothing to say of the second
