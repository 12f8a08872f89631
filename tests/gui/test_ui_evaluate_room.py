import pytest
from PySide6.QtCore import Qt
from run_script import ScriptedRun

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.operations.demo import DemoEvent
from rlhf_desktop.ui.evaluate.demorunner import DemoRunner
from rlhf_desktop.ui.evaluate.room import EvaluateRoom


@pytest.fixture
def room(qtbot, context):
    made = EvaluateRoom(context)
    qtbot.addWidget(made.widget())
    made.widget().show()
    return made


@pytest.fixture
def two_models(context):
    run = ScriptedRun(context, title="Kinder")
    run.result()
    run.state("done")
    prompts = [[{"role": "user", "content": f"question {i}"}] for i in range(10)]
    context.store.prompts.create_set(context.session.project.id, "held out", prompts, "heldout")


def test_with_one_model_it_says_what_is_missing(qtbot, room):
    room.activated()
    qtbot.waitUntil(lambda: "Nothing has been trained" in room._words.text())
    assert not room.begin.isEnabled()
    assert room.sample.start.property("kind") == "primary"


def test_a_blind_comparison_by_keys_is_judged_stored_and_summed_up(qtbot, context, room, two_models):
    room.activated()
    qtbot.waitUntil(lambda: room.begin.isEnabled())
    room.begin.click()
    qtbot.waitUntil(lambda: room.trial is not None, timeout=10_000)
    assert room.trial.total == 8
    while room.trial is not None:
        new_on_left = room.trial._new_on_left[len(room.trial.judged)]
        qtbot.keyClick(room.judging, Qt.Key.Key_1 if new_on_left else Qt.Key.Key_2)
    judged = context.store.judged(context.session.project.id)
    assert len(judged) == 8
    assert {item.split for item in judged} == {"heldout"}
    generators = [context.store.conversations.message(j.judgement.displayed[0]).generator_id for j in judged]
    assert len(set(generators)) == 2  # both sides were shown on the left
    words = room._result.itemAt(0).widget().body.itemAt(0).widget().text()
    assert words.startswith("On 8 prompts you preferred Kinder")
    assert "100% of the time" in words


def test_taking_back_a_blind_verdict_withdraws_it(qtbot, context, room, two_models):
    room.activated()
    qtbot.waitUntil(lambda: room.begin.isEnabled())
    room.begin.click()
    qtbot.waitUntil(lambda: room.trial is not None, timeout=10_000)
    qtbot.keyClick(room.judging, Qt.Key.Key_Equal)
    qtbot.keyClick(room.judging, Qt.Key.Key_Backspace)
    assert room.trial.judged == []
    assert context.store.judgements.effective(context.session.project.id) == []


def test_the_sample_project_reports_its_steps_and_its_end(qtbot, context):
    def work(workspace, progress):
        progress(DemoEvent("sft", "Examples", 2, 7, "step 3", 0.5, 30.0))
        return "report"

    runner = DemoRunner(context.workspace, work)
    with qtbot.waitSignals([runner.progressed, runner.succeeded]):
        runner.start()
    runner._thread.join()


def test_stopping_and_failing_are_told_apart(qtbot, context):
    def fail(workspace, progress):
        raise AppError("The disk is full.", "Free some.")

    runner = DemoRunner(context.workspace, fail)
    with qtbot.waitSignal(runner.failed) as failed:
        runner.start()
    assert "disk is full" in str(failed.args[0])
    runner._thread.join()

    def endless(workspace, progress):
        while True:
            progress(DemoEvent("sft", "Examples", 2, 7))

    runner = DemoRunner(context.workspace, endless)
    with qtbot.waitSignal(runner.stopped):
        runner.start()
        runner.stop()
    runner._thread.join()
