"""The first round in three steps: it follows what has really been done, can be hidden for good, and comes back from the help."""

from dataclasses import replace

import pytest

from rlhf_desktop.operations.outlook import NextStep, outlook
from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.help.first_round import Progress, progress


@pytest.fixture
def window(qtbot, context):
    made = Window(context)
    made.desk = Desk(context, made)
    qtbot.addWidget(made)
    made.show()
    made.show_room("settings")
    yield made
    context.tasks.wait()


@pytest.fixture
def fresh(context):
    return outlook(context.store, context.queue, context.session.project)


@pytest.mark.parametrize(
    ("judgements", "round_", "step", "now"),
    [
        (0, 1, NextStep("judge", "", "chat"), 1),
        (3, 1, NextStep("judge", "", "chat"), 2),
        (90, 1, NextStep("train", "", "train", "reward"), 2),
        (90, 1, NextStep("wait", "", "train", run_id="r"), 2),
        (90, 1, NextStep("evaluate", "", "evaluate", run_id="r"), 3),
        (90, 1, NextStep("prompts", "", "evaluate", run_id="r"), 3),
        (90, 1, NextStep("prompts", "", "label", "ppo"), 2),
        (90, 1, NextStep("adopt", "", "evaluate", run_id="r", evaluation_id="e"), 4),
        (95, 2, NextStep("judge", "", "chat"), 4),
    ],
)
def test_the_steps_follow_the_one_next_step(fresh, judgements, round_, step, now):
    found = progress(replace(fresh, judgements=judgements, round=round_, step=step))
    assert found.now == now
    assert found.over == (now == 4)


def test_the_line_counts_what_the_header_counts(qtbot, window, fresh):
    bar = window.first_round
    window.desk.first_round.show()
    bar.show_progress(progress(replace(fresh, judgements=3, step=NextStep("judge", "", "chat"))))
    there = fresh.amounts["reward"]
    assert f"({there.have} of {there.suggested})" in bar.buttons[1].text()
    said = [button.accessibleName().partition(":")[0] for button in bar.buttons]
    assert said == ["Step 1, done", "Step 2, now", "Step 3, later"]


def test_a_step_leads_to_where_it_is_done(qtbot, window, context, fresh):
    window.desk._counted(context.session.project, replace(fresh, step=NextStep("train", "", "train", "reward")))
    for button, room in zip(window.first_round.buttons, ("chat", "train", "evaluate"), strict=True):
        button.click()
        context.tasks.wait()
        assert window.current_room == room
    context.chat.stateChanged.disconnect()  # the worker ends after the window is gone


def test_it_is_hidden_for_good_and_comes_back_from_the_help(qtbot, window, context):
    assert not window.first_round.isVisible()  # only whoever starts for the first time is shown it
    window.desk.first_round.show()
    window.first_round.hidden.emit()
    assert not window.first_round.isVisible()
    another = Window(context)
    qtbot.addWidget(another)
    another.desk = Desk(context, another)
    assert not another.first_round.isVisibleTo(another)
    window.help.open("first-round")
    (offer,) = [button for name, button in window.help.pane._offers.items() if name == "first-round"]
    assert offer.isVisible()
    window.help.pane.search.setText("undo")
    assert not offer.isVisible()
    window.help.pane.search.clear()
    offer.click()
    assert window.first_round.isVisible()
    window.help.open("chat")
    assert not offer.isVisible()


def test_nothing_done_is_the_first_step(fresh):
    assert progress(fresh) == Progress(1)
