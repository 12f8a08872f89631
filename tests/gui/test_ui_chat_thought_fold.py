"""A thought is one quiet line that opens; what the model knows of thoughts decides what is offered."""

import pytest

from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.ui.chat.setup_panel import SetupPanel
from rlhf_desktop.ui.chat.thought_fold import ThoughtFold
from rlhf_desktop.ui.chat.turn_view import TurnView
from rlhf_desktop.ui.chat.turns import Turn


def test_it_opens_and_closes(qtbot):
    fold = ThoughtFold("Let me *see*.", 1204)
    qtbot.addWidget(fold)
    fold.show()
    assert fold.toggle.text() == "Thought for 1,204 tokens"
    assert fold.toggle.accessibleName() == fold.toggle.text()
    assert not fold.text.isVisible()
    fold.toggle.click()
    assert fold.text.isVisible()
    assert fold.text.toPlainText() == "Let me see."
    fold.toggle.click()
    assert not fold.text.isVisible()


def test_it_grows_while_it_comes_and_stays_as_it_was_opened(qtbot):
    fold = ThoughtFold()
    qtbot.addWidget(fold)
    assert fold.isHidden()
    fold.grow("Hm")
    assert (fold.isHidden(), fold.toggle.text()) == (False, "Thinking…")
    fold.toggle.click()
    fold.grow("Hm, so")
    assert fold.text.text() == "Hm, so"
    fold.end()
    assert fold.toggle.text() == "Thought"


@pytest.mark.parametrize("thought", ["", "Because it leaks."])
def test_a_turn_shows_it_only_when_there_is_one(qtbot, thought):
    view = TurnView(Turn("1", "assistant", "I am sorry.", "tiny", 0, 1, "", True, False, thought, 7 if thought else None))
    qtbot.addWidget(view)
    view.show()
    assert view.thought.isVisible() == bool(thought)
    assert view.text.toPlainText() == "I am sorry."


def test_the_switch_is_offered_where_the_template_has_one(qtbot):
    panel = SetupPanel()
    qtbot.addWidget(panel)
    panel.show()
    said = []
    panel.samplingChanged.connect(said.append)
    panel.show_setup("", Sampling(), False)
    panel.show_thinking("switch")
    assert not panel.thought.isVisible()
    panel.think.click()
    assert said[-1].max_thought_tokens == 1024
    panel.thought.setValue(2048)
    assert said[-1] == Sampling(max_thought_tokens=2048)
    panel.think.click()
    assert said[-1] == Sampling()


@pytest.mark.parametrize(("kind", "words"), [("always", "cannot be switched off"), ("none", "answers at once"), (None, "server")])
def test_what_cannot_be_chosen_is_said(qtbot, kind, words):
    panel = SetupPanel()
    qtbot.addWidget(panel)
    panel.show()
    panel.show_setup("", Sampling(), False)
    panel.show_thinking(kind)
    assert not panel.think.isEnabled()
    assert words in panel._about_thoughts.text()
    assert panel.thought.isVisible() == (kind == "always")
