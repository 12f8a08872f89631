"""The Train room on run folders written by a script."""

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QWidget
from run_script import ScriptedRun

from rlhf_desktop.core import runs
from rlhf_desktop.core.errors import NoSpace
from rlhf_desktop.core.platform import process_ref
from rlhf_desktop.core.recipes import describe
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.jobs.runnotes import run_notes
from rlhf_desktop.jobs.turns import waiting_runs
from rlhf_desktop.operations.checkup import Finding
from rlhf_desktop.operations.estimates import Estimate
from rlhf_desktop.operations.outlook import Outcome
from rlhf_desktop.operations.preflight import Preflight
from rlhf_desktop.operations.rounds import adoptions
from rlhf_desktop.ui.train import plan
from rlhf_desktop.ui.train import room as train_room
from rlhf_desktop.ui.train.follower import RunFollower
from rlhf_desktop.ui.train.recipecard import RecipeCard
from rlhf_desktop.ui.train.room import TrainRoom
from rlhf_desktop.ui.widgets.surfaces import Notice, widgets_in
from rlhf_desktop.ui.widgets.text import Label


@pytest.fixture(autouse=True)
def no_supervisor(monkeypatch):
    monkeypatch.setattr(Queue, "ensure_supervisor", lambda self: None)


ESTIMATE = Estimate(1_900_000_000, 360.0, 50_000, {}, {}, 31_000_000_000)
UNTIMED = replace(ESTIMATE, wall_s=None)
WELL = Finding("template", "well", "The chat template works.")


@pytest.fixture(autouse=True)
def looked(monkeypatch):
    """What the preflight is asked, and what it answers."""
    asked = []
    answer = {"found": Preflight((WELL,), estimate=ESTIMATE)}

    def look(store, workspace, project, wanted, **_chat):
        asked.append(wanted)
        return answer["found"]

    monkeypatch.setattr("rlhf_desktop.ui.train.room.preflight", look)
    monkeypatch.setattr("rlhf_desktop.operations.preflight.preflight", lambda *parts, **_files: look(*parts))
    return asked, answer


@pytest.fixture
def room(qtbot, context):
    made = TrainRoom(context)
    qtbot.addWidget(made.widget())
    made.widget().show()
    yield made
    made.deactivated()
    made.show_overview()
    context.tasks.wait()


def judge(context, n):
    store, project = context.store, context.session.project
    for i in range(n):
        _, leaf = store.conversations.start(project.id, [{"role": "user", "content": f"question {i}"}])
        nodes = store.conversations.add_answers(leaf.id, ["good", "bad"])
        store.judgements.add(Judgement(project.id, "me", tuple(node.id for node in nodes), Ranking.of((1, 2))))


def ready(qtbot, room):
    room.activated()
    qtbot.waitUntil(lambda: room.overview._facts is not None)


def open_page(qtbot, room, run):
    room.show_run(run.folder.id)
    qtbot.waitUntil(lambda: room.page is not None)
    with qtbot.waitSignal(room.follower.replayed):
        pass
    room.page._draw()
    return room.page


def row_of(qtbot, room, run):
    room.refresh()
    qtbot.waitUntil(lambda: run.folder.id in room.overview.runs.rows)
    return room.overview.runs.rows[run.folder.id]


# --- the overview


def test_the_cards_say_what_there_is_and_one_is_suggested(qtbot, context, room):
    judge(context, 140)
    ready(qtbot, room)
    cards = room.overview.cards
    kinds = {name: card.button.property("kind") for name, card in cards.items()}
    assert kinds == {"sft": "normal", "reward": "primary", "ppo": "normal", "dpo": "normal", "kto": "quiet"}
    assert "more held out" in cards["reward"]._meter._words.text()


def test_the_cards_stand_in_two_rows_where_one_would_cut_their_words(qtbot, context, room):
    judge(context, 140)
    ready(qtbot, room)
    page = room.overview
    for width, rows in ((1400, 1), (800, 2), (1400, 1)):
        room.widget().resize(width, 800)
        qtbot.waitUntil(lambda rows=rows: len({card.y() for card in page._cards_in_grid()}) == rows)
        assert all(card.width() >= card.minimumSizeHint().width() for card in page._cards_in_grid())


def test_while_there_is_too_little_no_recipe_is_pointed_at_and_the_page_says_what_is_next(qtbot, context, room):
    judge(context, 12)
    ready(qtbot, room)
    assert {card.button.property("kind") for card in room.overview.cards.values()} == {"normal", "quiet"}
    have = room.overview._facts.outlook.amounts["reward"].have
    assert room.overview.next.text().startswith(f"Next: {have} of 100 comparisons; about ")


def test_a_reward_model_below_chance_is_not_to_be_practised_against(qtbot, context, room):
    judge(context, 40)
    run = ScriptedRun(context, algorithm="reward", title="My preferences")
    run.result("reward")
    measured = {"eval/rewards/accuracies": 0.3, "eval/accuracy_low": 0.05, "eval/accuracy_high": 1.0, "eval/prompts": 7}
    run.say(runs.Finished, outcome="done", metrics=measured)
    run.state("done")
    ready(qtbot, room)
    card = room.overview.cards["ppo"]
    assert card.button.property("kind") == "normal"
    said = "Your reward model agrees with 30% of held-out choices (5%–100%); a coin reaches 50%. Judge about "
    assert card._more.text().startswith(said)
    page = open_page(qtbot, room, run)
    assert page._headline.text() == "Finished"
    assert "a coin reaches 50%" in page._outcome.words.text()


def test_several_runs_are_queued_from_the_panel(qtbot, context, room):
    judge(context, 12)
    ready(qtbot, room)
    for algorithm in ("reward", "dpo"):
        room.overview.open_panel(algorithm)
        with qtbot.waitSignal(context.session.runsChanged):
            qtbot.mouseClick(room.overview.panel.button, Qt.MouseButton.LeftButton)
        assert room.overview.panel is None
    queued = context.queue.runs()
    assert [(run.algorithm, run.state) for run in queued] == [("dpo", "queued"), ("reward", "queued")]
    qtbot.waitUntil(lambda: set(room.overview.runs.rows) == {run.id for run in queued})


def test_a_run_without_feedback_is_refused_in_the_panel(qtbot, context, room):
    ready(qtbot, room)
    room.overview.open_panel("dpo")
    panel = room.overview.panel
    qtbot.mouseClick(panel.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: panel._trouble.isVisible())
    assert panel._trouble.words.text()
    assert panel.button.isEnabled()
    assert context.queue.runs() == []


def test_ppo_without_a_reward_model_says_what_to_do_first(qtbot, room):
    ready(qtbot, room)
    room.overview.open_panel("ppo")
    qtbot.mouseClick(room.overview.panel.button, Qt.MouseButton.LeftButton)
    assert "Learn my preferences" in room.overview.panel._trouble.words.text()


def test_a_value_out_of_bounds_is_said_beside_its_field(qtbot, room):
    ready(qtbot, room)
    room.overview.open_panel("sft")
    panel = room.overview.panel
    panel._fold.click()
    field = panel.form.fields["epochs"]
    field.field.setText("1000")
    assert "from 1" in field._help.text()
    assert not panel.button.isEnabled()
    field.field.setText("4")
    assert panel.button.isEnabled()
    assert field._help.text() == field.setting.help


def test_rows_keep_their_place_and_say_their_state_in_words(qtbot, context, room):
    run = ScriptedRun(context, title="Round 1")
    run.steps(1, 40)
    ready(qtbot, room)
    row = room.overview.runs.rows[run.folder.id]
    assert row.chip.word.text() == "Running"
    assert row._left.text() == "40% · 2 min left"
    run.state("interrupted", signal="SIGKILL", message="It was killed (signal SIGKILL).")
    room.refresh()
    qtbot.waitUntil(lambda: row.chip.word.text() == "Interrupted")
    assert room.overview.runs.rows[run.folder.id] is row
    assert "SIGKILL" in row._words.text()
    assert row.resume.isVisibleTo(row)
    assert not row.stop.isVisibleTo(row)


def test_pause_and_resume_reach_the_run(qtbot, context, room):
    run = ScriptedRun(context, state="queued")
    ready(qtbot, room)
    row = room.overview.runs.rows[run.folder.id]
    row.pause.click()
    qtbot.waitUntil(lambda: run.folder.state().state == "paused")
    qtbot.waitUntil(lambda: row.resume.isVisibleTo(row))
    row.resume.click()
    qtbot.waitUntil(lambda: run.folder.state().state == "queued")


def test_waiting_runs_change_places_and_one_is_cancelled(qtbot, context, room):
    runs_made = [ScriptedRun(context, title=title, state="queued") for title in ("one", "two", "three")]
    for at, run in enumerate(runs_made):
        run.folder.write_status(run.folder.status().model_copy(update={"queued_at": 100.0 + at}))
    ready(qtbot, room)

    def order():
        return [row._title.text() for row in widgets_in(room.overview.runs._box, QWidget)]

    rows = {run.folder.config().title: room.overview.runs.rows[run.folder.id] for run in runs_made}
    assert order() == ["one", "two", "three"]
    assert not rows["one"].earlier.isEnabled()
    rows["three"].earlier.click()
    qtbot.waitUntil(lambda: order() == ["one", "three", "two"])
    assert "2nd of 3" in rows["three"]._words.text()
    rows["three"].cancel.click()
    qtbot.waitUntil(lambda: rows["three"].chip.word.text() == "Stopped")
    assert [run.id for run in waiting_runs(context.workspace)] == [runs_made[0].folder.id, runs_made[1].folder.id]


def test_start_looks_before_it_queues_and_says_so_meanwhile(qtbot, context, room, looked):
    judge(context, 12)
    ready(qtbot, room)
    room.overview.open_panel("reward")
    panel = room.overview.panel
    qtbot.waitUntil(lambda: panel.button.isEnabled() and "It fits" in panel.preflight.cost.text())
    full = NoSpace("The disk is full.", "Free 2 GB.")
    looked[1]["found"] = Preflight((WELL,), (full,))  # since the last look
    qtbot.mouseClick(panel.button, Qt.MouseButton.LeftButton)
    assert (panel.button.text(), panel.button.isEnabled()) == ("Checking and starting…", False)
    panel._changed()
    assert not panel.button.isEnabled()  # nothing is started twice
    qtbot.waitUntil(lambda: panel._trouble.isVisible())
    assert "The disk is full." in panel._trouble.words.text()
    assert (panel.button.text(), panel.button.isEnabled()) == ("Start", True)
    assert context.queue.runs() == []


def test_a_start_without_its_base_model_says_what_to_do(qtbot, context, room, looked):
    judge(context, 12)
    ready(qtbot, room)
    room.overview.open_panel("reward")
    panel = room.overview.panel
    qtbot.waitUntil(lambda: panel.button.isEnabled())
    context.session.set_model(None)  # removed in Models meanwhile
    panel.button.click()
    assert "Choose one in Models." in panel._trouble.words.text()
    assert (panel.button.text(), context.queue.runs()) == ("Start", [])


def test_one_look_at_a_time_and_the_newest_choices_count(qtbot, context, room, looked, monkeypatch):
    gate, inside = threading.Event(), threading.Event()

    def look(store, workspace, project, wanted, **_chat):
        looked[0].append(wanted.settings.get("epochs"))
        inside.set()
        assert gate.wait(60)
        return Preflight((WELL,), estimate=replace(ESTIMATE, wall_s=60.0 * wanted.settings.get("epochs", 1)))

    monkeypatch.setattr("rlhf_desktop.ui.train.room.preflight", look)
    judge(context, 12)
    ready(qtbot, room)
    room.overview.open_panel("reward")
    panel = room.overview.panel
    panel.tell_plan()
    qtbot.waitUntil(inside.is_set)
    for preset in (plan.PRESETS[0], plan.PRESETS[2]):
        panel._choose_preset(preset)
        panel.tell_plan()
    gate.set()
    qtbot.waitUntil(lambda: "4 min" in panel.preflight.cost.text())
    assert 1 not in looked[0]  # the one between was never looked at


def test_after_a_look_that_failed_the_newest_choices_are_looked_at(qtbot, context, room, looked, monkeypatch):
    gate, inside = threading.Event(), threading.Event()

    def look(store, workspace, project, wanted, **_chat):
        if inside.is_set():
            return Preflight((WELL,), estimate=replace(ESTIMATE, wall_s=240.0))
        inside.set()
        assert gate.wait(60)
        raise NoSpace("The disk could not be read.")

    monkeypatch.setattr("rlhf_desktop.ui.train.room.preflight", look)
    judge(context, 12)
    ready(qtbot, room)
    room.overview.open_panel("reward")
    panel = room.overview.panel
    panel.tell_plan()
    qtbot.waitUntil(inside.is_set)
    panel._choose_preset(plan.PRESETS[2])
    panel.tell_plan()
    panel._settled.stop()  # or it would tell once more, of itself
    gate.set()
    qtbot.waitUntil(lambda: "4 min" in panel.preflight.cost.text())


# --- what it takes, before it starts


def test_the_cards_say_what_a_run_would_take(qtbot, context, room, monkeypatch):
    monkeypatch.setattr("rlhf_desktop.ui.train.room.rough_estimates", lambda *_: {"reward": ESTIMATE, "dpo": UNTIMED})
    finished(context, "Taught", wall_s=61.0, peak_rss_bytes=2_000_000_000)
    judge(context, 12)
    ready(qtbot, room)
    said = {name: card._cost.text() for name, card in room.overview.cards.items() if name != "kto"}
    assert said == {
        "sft": "Last time 1 min, 2.0 GB",
        "reward": "About 6 min, 1.9 GB",
        "ppo": "",
        "dpo": "About 1.9 GB",
    }


def test_the_cost_is_said_before_the_start_and_again_when_the_choices_change(qtbot, context, room, looked):
    judge(context, 12)
    ready(qtbot, room)
    room.overview.open_panel("reward")
    view = room.overview.panel.preflight
    qtbot.waitUntil(lambda: view.cost.text() == "It fits. About 1.9 GB and 6 min; 31 GB are free.")
    assert view.fold.text() == "Checked: 1 thing is well"
    room.overview.panel._preset.set_value(plan.PRESETS[2])
    room.overview.panel._choose_preset(plan.PRESETS[2])
    assert "Working out" in view.cost.text()
    qtbot.waitUntil(lambda: len(looked[0]) == 2)
    assert [wanted.settings.get("epochs") for wanted in looked[0]] == [None, 4]


def test_a_refusal_keeps_start_shut_and_says_the_remedy(qtbot, context, room, looked):
    looked[1]["found"] = Preflight((WELL, Finding("disk", "trouble", "The disk is full.", "Free 2 GB.")))
    judge(context, 12)
    ready(qtbot, room)
    room.overview.open_panel("reward")
    panel = room.overview.panel
    qtbot.waitUntil(lambda: panel.preflight.cost.text() == "It can't start yet.")
    assert not panel.button.isEnabled()
    said = " ".join(label.text() for label in panel.preflight.findChildren(Label))
    assert "The disk is full." in said
    assert "Free 2 GB." in said


def test_an_unknown_time_is_measured_on_demand(qtbot, context, room, looked, monkeypatch):
    looked[1]["found"] = Preflight((WELL,), estimate=replace(ESTIMATE, wall_s=None))
    monkeypatch.setattr(
        "rlhf_desktop.ui.train.room.calibrate", lambda base: looked[1].update(found=Preflight((), estimate=ESTIMATE))
    )
    judge(context, 12)
    ready(qtbot, room)
    room.overview.open_panel("reward")
    view = room.overview.panel.preflight
    qtbot.waitUntil(lambda: view.measure.isVisible())
    view.measure.click()
    qtbot.waitUntil(lambda: "6 min" in view.cost.text())
    room.measuring.wait()


def test_start_and_result_are_drawn_as_a_small_lineage(qtbot, context, room):
    finished(context, "Taught")
    judge(context, 12)
    ready(qtbot, room)
    room.overview.open_panel("dpo")
    panel = room.overview.panel
    panel._start.setCurrentIndex(1)
    assert panel.lineage.names == ("Tiny", "Taught", "Taught + DPO")
    panel._name.setText("Kinder")
    assert panel.lineage.names == ("Tiny", "Taught", "Kinder")


def test_a_reward_model_may_start_from_what_the_examples_made(qtbot, context, room):
    finished(context, "Taught")
    judge(context, 12)
    ready(qtbot, room)
    room.overview.open_panel("reward")
    panel = room.overview.panel
    asked = []
    panel.started.connect(asked.append)
    panel._start.setCurrentIndex(1)
    assert panel.lineage.names == ("Tiny", "Taught", "My preferences")
    panel._submit()
    assert asked[0].start.name == "Taught"
    assert asked[0].algorithm == "reward"


@pytest.mark.parametrize("change", ["feedback", "project"])
def test_what_is_read_while_something_else_comes_to_count_is_read_again(qtbot, context, room, monkeypatch, change):
    began, go, read = threading.Event(), threading.Event(), train_room.outlook

    def held_up(*asked):
        found = read(*asked)
        began.set()
        go.wait()
        return found

    monkeypatch.setattr(train_room, "outlook", held_up)
    room.activated()
    qtbot.waitUntil(began.is_set)
    if change == "project":
        context.session.set_project(context.store.projects.create("Another"))
    judge(context, 3)
    context.session.feedbackChanged.emit()
    go.set()
    qtbot.waitUntil(lambda: room._known is not None and not room._reads.busy)
    assert room._known.outlook.judgements == 3


def test_the_card_says_what_more_feedback_would_buy(qtbot, context, room):
    judge(context, 12)
    ready(qtbot, room)
    card = room.overview.cards["reward"]
    assert "more would bring" in card._more.text()
    assert card._meter._words.text().endswith("of 100 comparisons suggested")


# --- a run's page


def test_a_page_is_replayed_and_then_grows_live(qtbot, context, room):
    run = ScriptedRun(context)
    run.say(runs.Started, pid=1, device="cpu", dtype="float32", resumed_step=None, trainable_parameters=9)
    run.steps(1, 50)
    page = open_page(qtbot, room, run)
    assert page._headline.text() == "Practising · 2 min left"
    qtbot.waitUntil(lambda: any("KL" in card._chart.title and card.isVisibleTo(page) for card in page.charts))
    run.steps(51, 60)
    with qtbot.waitSignal(room.follower.changed):
        pass
    assert room.follower.view.step == 60
    assert room.follower.view.series["objective/kl"].last() == pytest.approx(6.0)


def test_before_and_now_stand_side_by_side(qtbot, context, room):
    run = ScriptedRun(context)
    run.say(runs.Sample, step=0, prompt="p", text="old", before="old", score=-1.0)
    run.say(runs.Sample, step=9, prompt="p", text="**new**", score=1.0)
    page = open_page(qtbot, room, run)
    (card,) = page.samples._cards.values()
    assert [view.text() for view in card._texts] == ["old", "**new**"]
    assert card._heads[1].text() == "Now, after step 9  ·  score +1.0"
    page.samples.earlier.click()
    assert [view.text() for view in card._texts] == ["old", "old"]
    assert not page.samples.earlier.isEnabled()
    page.samples.later.click()
    assert card._texts[1].text() == "**new**"


def test_before_the_first_look_there_is_nothing_to_set_beside_it(qtbot, context, room):
    run = ScriptedRun(context)
    run.say(runs.Sample, step=0, prompt="What now?", text="old", before="old")
    page = open_page(qtbot, room, run)
    (card,) = page.samples._cards.values()
    assert [text.text() for text in card._texts] == ["old", "*It is asked again while the model learns.*"]
    assert card._heads[1].text() == "Now"


def test_the_end_of_a_run_that_is_watched_is_told_at_once(qtbot, context, room):
    run = ScriptedRun(context)
    run.say(runs.Progress, phase="learning", step=1, total=2)
    open_page(qtbot, room, run)
    with qtbot.waitSignal(room.follower.ended), qtbot.waitSignal(context.session.runsChanged):
        run.say(runs.Finished, outcome="done", metrics={})
        run.state("done")
        room.follower.poll()


SLOW = runs.Signs(silent_s=180.0)
HUNG = runs.Signs(silent_s=180.0, idle_s=180.0)


@pytest.fixture
def worker():
    """A process that stands still."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)
    yield process
    process.kill()
    process.wait()


def test_a_slow_run_says_so_and_can_still_be_paused_and_stopped(qtbot, context, room):
    run = ScriptedRun(context)
    run.steps(1, 30)
    run.state("running", signs=SLOW)
    page = open_page(qtbot, room, run)
    assert page.chip.word.text() == "Slow"
    assert page._silent.words.text().startswith("No step for 3 min.")
    assert page._headline.text() == "Practising"  # nobody knows how long it will take now
    assert page.pause.isVisibleTo(page)
    assert page.stop.isVisibleTo(page)
    assert not page._silent.button.isVisibleTo(page)
    run.state("running")
    qtbot.waitUntil(lambda: page.chip.word.text() == "Running")
    assert not page._silent.isVisibleTo(page)


def test_a_run_that_stands_still_is_ended_only_once_that_is_confirmed(qtbot, context, room, worker):
    run = ScriptedRun(context)
    run.steps(1, 30)
    run.folder.write_status(runs.RunStatus(state="running", queued_at=1.0, worker=process_ref(worker.pid), signs=HUNG))
    page = open_page(qtbot, room, run)
    assert page.chip.word.text() == "Not responding"
    assert page.pause.isVisibleTo(page)
    assert not page.end.isVisibleTo(page)
    page._silent.button.click()
    assert page.end.isVisibleTo(page)
    page.end.no.click()
    assert not page.end.isVisibleTo(page)
    assert worker.poll() is None
    page._silent.button.click()
    page.end.yes.click()
    worker.wait(60)
    qtbot.waitUntil(lambda: page.chip.word.text() == "Interrupted")
    assert "ended" in page._outcome.words.text()
    assert page.resume.isVisibleTo(page)


def test_a_row_of_a_slow_run_keeps_its_buttons_and_ends_only_what_stands_still(qtbot, context, room, worker):
    run = ScriptedRun(context)
    run.steps(1, 30)
    run.folder.write_status(runs.RunStatus(state="running", queued_at=1.0, worker=process_ref(worker.pid), signs=SLOW))
    row = row_of(qtbot, room, run)
    assert "no step for two minutes" in row._words.text()
    assert row._left.text() == "30%"
    assert [button.isVisibleTo(row) for button in (row.pause, row.stop, row.end)] == [True, True, False]
    run.folder.write_status(runs.RunStatus(state="running", queued_at=1.0, worker=process_ref(worker.pid), signs=HUNG))
    room.refresh()
    qtbot.waitUntil(lambda: row.end.isVisibleTo(row))
    assert row.pause.isVisibleTo(row)
    row.end.click()
    assert row.sure.isVisibleTo(row)
    assert worker.poll() is None
    row.sure.yes.click()
    worker.wait(60)


@pytest.mark.parametrize(("button", "word"), [("pause", "Pausing"), ("stop", "Stopping"), ("cancel", "Cancelling")])
def test_a_wish_is_acknowledged_at_once(qtbot, context, room, button, word):
    run = ScriptedRun(context)
    run.steps(1, 60, total=100)  # the 40 that are left take 120 s
    page = open_page(qtbot, room, run)
    pressed = getattr(page, button)
    pressed.click()
    qtbot.waitUntil(lambda: page._headline.text() == f"{word}: after this update, usually within 4 s")
    assert page.chip.word.text() == word
    assert not pressed.isEnabled()
    others = [each for each in (page.pause, page.stop, page.cancel) if each is not pressed]
    assert all(each.isEnabled() for each in others)
    run.say(runs.Progress, phase="saving a checkpoint", step=60, total=100)
    qtbot.waitUntil(lambda: page._headline.text() == f"{word}: saving a checkpoint")


def test_a_wish_before_the_first_update_is_acknowledged_too(qtbot, context, room):
    run = ScriptedRun(context)
    page = open_page(qtbot, room, run)
    page.pause.click()
    qtbot.waitUntil(lambda: page._headline.text() == "Pausing: before the first update")


def test_a_row_says_what_its_run_was_asked(qtbot, context, room):
    run = ScriptedRun(context)
    run.steps(1, 60)
    row = row_of(qtbot, room, run)
    row.pause.click()
    qtbot.waitUntil(lambda: row.chip.word.text() == "Pausing")
    assert "after this update" in row._words.text()
    assert row._left.text() == "60%"
    assert not row.pause.isEnabled()


@pytest.mark.parametrize("phase", ["measuring the result", "saving the result"])
def test_what_follows_the_last_update_has_its_own_words(qtbot, context, room, phase):
    run = ScriptedRun(context)
    run.steps(1, 100)
    run.say(runs.Progress, phase=phase, step=100, total=100)
    row = row_of(qtbot, room, run)
    assert row._left.text() == "Nearly done"
    assert phase in row._words.text()
    page = open_page(qtbot, room, run)
    assert page._headline.text() == phase.capitalize()


def test_an_earlier_trainers_last_word_is_not_that_nothing_is_left(qtbot, context, room):
    run = ScriptedRun(context)
    run.say(runs.Progress, phase="practising", step=100, total=100, eta_s=0.0)
    page = open_page(qtbot, room, run)
    assert page._headline.text() == "Practising"


def test_the_log_is_folded_and_only_grows(qtbot, context, room):
    run = ScriptedRun(context)
    run.say(runs.Logged, message="first line")
    page = open_page(qtbot, room, run)
    assert page.log.text.isHidden()
    page.log.fold.click()
    assert "first line" in page.log.text.toPlainText()
    run.say(runs.Logged, message="second line")
    qtbot.waitUntil(lambda: "second line" in page.log.text.toPlainText())
    assert page.log.text.toPlainText().count("first line") == 1


def test_the_page_says_where_the_result_comes_from(qtbot, context, room):
    page = open_page(qtbot, room, ScriptedRun(context, title="Kinder"))
    assert page.lineage.names == ("Tiny", "Kinder")


def test_a_finished_run_is_praised_only_once_it_was_compared(qtbot, context, room, monkeypatch):
    run = ScriptedRun(context)
    run.result()
    run.say(runs.Finished, outcome="done", metrics={})
    run.state("done")
    page = open_page(qtbot, room, run)
    assert page._headline.text() == "Finished"
    assert page._outcome.words.text().endswith("Compare it blind to see whether it is better.")
    better = Outcome(True, "Judged blind, it is better than the model before.")
    monkeypatch.setattr("rlhf_desktop.ui.train.room.outcome_of", lambda *_: better)
    room.activated()
    qtbot.waitUntil(lambda: page._headline.text() == "Finished: an improved model is ready")
    assert page._outcome.words.text().endswith(better.sentence)


def test_card_and_panel_say_the_same_memory(qtbot, context, room, looked, monkeypatch):
    rough = replace(ESTIMATE, peak_bytes=1_100_000_000)
    monkeypatch.setattr("rlhf_desktop.ui.train.room.rough_estimates", lambda *_: {"reward": rough})
    judge(context, 12)
    ready(qtbot, room)
    card = room.overview.cards["reward"]
    assert card._cost.text() == "About 6 min, 1.1 GB"
    room.overview.open_panel("reward")
    panel = room.overview.panel
    qtbot.waitUntil(lambda: "1.9 GB" in panel.preflight.cost.text())
    assert card._cost.text() == "About 6 min, 1.9 GB"
    looked[1]["found"] = Preflight((WELL,), estimate=replace(ESTIMATE, peak_bytes=2_500_000_000))
    panel._choose_preset(plan.PRESETS[2])
    panel._changed()
    qtbot.waitUntil(lambda: "2.5 GB" in panel.preflight.cost.text())
    assert card._cost.text() == "About 6 min, 2.5 GB"
    room.overview.close_panel()
    assert card._cost.text() == "About 6 min, 1.9 GB"  # as the usual settings take


def test_a_finished_run_asks_whether_it_is_better(qtbot, context, room):
    run = ScriptedRun(context)
    run.result()
    run.state("done")
    page = open_page(qtbot, room, run)
    with qtbot.waitSignal(context.session.evaluationRequested) as asked:
        page.judge.click()
    assert asked.args == [run.folder.id]


def test_a_finished_run_offers_to_chat_and_makes_its_result_current(qtbot, context, room):
    run = ScriptedRun(context, title="Kinder")
    run.steps(1, 100)
    run.result()
    run.say(runs.Finished, outcome="done")
    run.state("done")
    page = open_page(qtbot, room, run)
    assert page.chat.isVisibleTo(page)
    assert not page.stop.isVisibleTo(page)
    with qtbot.waitSignal(context.session.roomRequested) as asked:
        page.chat.click()
    assert asked.args == ["chat"]
    assert context.session.adapter.name == "Kinder"


def test_a_reward_model_is_not_offered_for_chat(qtbot, context, room):
    run = ScriptedRun(context, algorithm="reward")
    run.result("reward")
    run.say(runs.Finished, outcome="done")
    run.state("done")
    page = open_page(qtbot, room, run)
    assert not page.chat.isVisibleTo(page)


def test_an_interrupted_run_names_the_signal_and_offers_resume(qtbot, context, room):
    run = ScriptedRun(context)
    run.steps(1, 30)
    run.state("interrupted", signal="SIGKILL", message="It was killed (signal SIGKILL).", hint="Press Resume.")
    page = open_page(qtbot, room, run)
    assert "SIGKILL" in page._outcome.words.text()
    assert page.resume.isVisibleTo(page)
    page.resume.click()
    qtbot.waitUntil(lambda: run.folder.state().state == "queued")


def test_warnings_are_shown_once_in_words(qtbot, context, room):
    run = ScriptedRun(context)
    for said in ("Shorter.", "Much shorter."):
        run.say(runs.Warned, code="length", message=said)
    page = open_page(qtbot, room, run)
    assert page._warnings.count() == 1
    assert widgets_in(page._warnings, Notice)[0].words.text() == "Much shorter."


def test_a_long_replay_comes_in_slices(qtbot, context):
    run = ScriptedRun(context)
    for step in range(4000):
        run.say(runs.Metrics, step=step, values={"loss": 1.0})
    follower = RunFollower(context.tasks, run.folder)
    slices = []
    follower.changed.connect(slices.append)
    with qtbot.waitSignal(follower.replayed):
        follower.poll()
    assert len(follower.view.series["loss"]) == 4000
    assert len(slices) >= 2


def test_reopening_finds_the_run_where_it_is(qtbot, context, room):
    run = ScriptedRun(context)
    run.steps(1, 10)
    open_page(qtbot, room, run)
    room.show_overview()
    run.steps(11, 20)
    page = open_page(qtbot, room, run)
    assert page._view.step == 20
    assert run.folder.status().worker == process_ref(os.getpid())


# --- several runs, and what is said about one


def finished(context, title, algorithm="sft", **values):
    run = ScriptedRun(context, algorithm=algorithm, title=title)
    for step in range(1, 6):
        run.say(runs.Metrics, step=step, values={"loss": 2.0 / step, "eval/loss": 2.5 / step})
    run.result("reward" if algorithm == "reward" else "policy")
    run.say(runs.Finished, outcome="done", metrics={"wall_s": 60.0, **values})
    run.state("done")
    return run


def test_two_runs_side_by_side_with_the_best_marked(qtbot, context, room):
    one, two = finished(context, "One", **{"eval/loss": 0.5}), finished(context, "Two", **{"eval/loss": 0.4})
    ready(qtbot, room)
    assert room.overview.compare.isHidden()
    room.overview.runs.rows[one.folder.id].pick.click()
    assert not room.overview.compare.isEnabled()
    room.overview.runs.rows[two.folder.id].pick.click()
    room.overview.compare.click()
    qtbot.waitUntil(lambda: room.comparison is not None)
    page = room.comparison
    assert page._compared.comparison.best == two.folder.id
    assert "Best by" in page.best.words.text()
    assert [chart._plot.accessibleName() for chart in page.charts] == ["Chart: Error while learning (loss)"]
    assert "Two (line)" in page.charts[0]._plot.accessibleDescription()
    page.closed.emit()
    assert room.comparison is None


def test_name_notes_and_archive_are_kept_with_the_run(qtbot, context, room):
    run = finished(context, "Kinder")
    ready(qtbot, room)
    page = open_page(qtbot, room, run)
    page.about.fold.click()
    page.about.title.selectAll()
    qtbot.keyClicks(page.about.title, "Kinder, shorter")
    qtbot.keyClick(page.about.title, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: page.name.text() == "Kinder, shorter")
    page.about.notes.setPlainText("Half the steps; answers stay short.")
    page.about.keep_notes()
    qtbot.waitUntil(lambda: run_notes(run.folder).notes == "Half the steps; answers stay short.")
    with qtbot.waitSignal(context.session.announced) as said:
        page.about.archive.click()
    room.show_overview()
    qtbot.waitUntil(lambda: room.overview.archived.isVisible())
    assert room.overview.runs.rows == {}
    said.args[1]()  # undo
    qtbot.waitUntil(lambda: [row._title.text() for row in room.overview.runs.rows.values()] == ["Kinder, shorter"])


def test_rolling_back_is_one_click_and_can_be_undone(qtbot, context, room):
    old, new = finished(context, "Old"), finished(context, "New")
    page = open_page(qtbot, room, new)
    with qtbot.waitSignal(context.session.announced):
        page.about.adopt.click()
    room.show_overview()
    page = open_page(qtbot, room, old)
    with qtbot.waitSignal(context.session.announced) as said:
        page.about.adopt.click()
    assert context.session.adapter.name == "Old"
    said.args[1]()
    qtbot.waitUntil(lambda: context.session.adapter.name == "New")
    names = [made.adapter_name for made in adoptions(context.store, context.session.project)]
    assert names == ["New", "Old", "New"]


def test_the_page_names_the_feedback_behind_a_run(qtbot, context, room):
    page = open_page(qtbot, room, finished(context, "Kinder"))
    page.about.fold.click()
    said = " ".join(label.text() for label in page.about.findChildren(Label))
    assert "learned from 1 row" in said
    assert "feedback " in said


def test_a_report_is_one_click(qtbot, context, room, monkeypatch):
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    page = open_page(qtbot, room, finished(context, "Kinder"))
    page.about.report.click()
    qtbot.waitUntil(page.written.isVisible)
    assert "Kinder" in Path(opened[0].toLocalFile()).read_text()


def test_a_first_point_stands_at_its_step(qtbot, context, room):
    run = ScriptedRun(context)
    run.steps(1, 1)
    room.show_run(run.folder.id)
    qtbot.waitUntil(lambda: room.page is not None and bool(room.page.charts))
    left, right = room.page.charts[0]._plot.getViewBox().viewRange()[0]
    assert left >= -0.5
    assert right - left >= 4


def test_the_meters_of_the_recipes_stand_level(qtbot, context, room):
    room.widget().resize(1000, 800)
    judge(context, 12)
    ready(qtbot, room)
    cards = [card for card in room.overview.cards.values() if isinstance(card, RecipeCard)]
    qtbot.waitUntil(lambda: len({card._meter.y() for card in cards}) == 1)
    assert len({card.sentence_height() for card in cards}) > 1  # though the sentences are not


def test_the_usual_length_is_between_the_quick_and_the_thorough(qtbot, context, room):
    judge(context, 12)
    ready(qtbot, room)
    room.overview.open_panel("reward")
    assert [preset.factor for preset in plan.PRESETS] == sorted(preset.factor for preset in plan.PRESETS)
    assert room.overview.panel._preset.value() == plan.USUAL
    assert plan.preset_values("reward", plan.USUAL) == {s.name: s.default for s in describe("reward")}


@pytest.mark.parametrize("has_template", [False, True])
def test_a_base_model_is_to_be_taught_by_example_first(qtbot, room, context, tmp_path, has_template):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "tokenizer_config.json").write_text('{"chat_template": "x"}' if has_template else "{}")
    context.session.set_model(context.session.base.model_copy(update={"path": str(folder)}))
    room.activated()
    qtbot.waitUntil(lambda: room.overview._facts is not None)
    said = room.overview.notice.words.text() if room.overview.notice.isVisible() else ""
    assert said == ("" if has_template else "This model has never been taught to answer: teach by example first.")
    assert ("never taught to answer; write about" in room.overview.next.text()) != has_template
