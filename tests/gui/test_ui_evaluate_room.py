import numpy as np
import pytest
from PySide6.QtCore import Qt
from run_script import ScriptedRun

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.evaluation.reward_report import Heldout, Judged, reward_report
from rlhf_desktop.operations import probes
from rlhf_desktop.operations.blind import evaluation
from rlhf_desktop.operations.blind_results import evaluations
from rlhf_desktop.operations.demo import DemoEvent
from rlhf_desktop.operations.generation import BatchProgress
from rlhf_desktop.operations.probes import ProbeMeasures
from rlhf_desktop.operations.reward_review import Mistake, RewardReview
from rlhf_desktop.operations.rounds import adoptions
from rlhf_desktop.ui.background import LongWork
from rlhf_desktop.ui.evaluate import lookup
from rlhf_desktop.ui.evaluate.answers import AnswerMaker
from rlhf_desktop.ui.evaluate.effects import EffectDial
from rlhf_desktop.ui.evaluate.home import EvaluationRow
from rlhf_desktop.ui.evaluate.room import EvaluateRoom
from rlhf_desktop.ui.evaluate.sample import SampleCard
from rlhf_desktop.ui.widgets.surfaces import widgets_in


@pytest.fixture
def room(qtbot, context):
    made = EvaluateRoom(context)
    qtbot.addWidget(made.widget())
    made.widget().show()
    yield made
    context.tasks.wait()


@pytest.fixture
def two_models(context):
    run = ScriptedRun(context, title="Kinder")
    run.result()
    run.state("done")
    prompts = [[{"role": "user", "content": f"question {i}"}] for i in range(10)]
    context.store.prompts.create_set(context.session.project.id, "Deliveries", prompts, "heldout")
    return run


def begin(qtbot, room, many=8):
    room.activated()
    qtbot.waitUntil(lambda: room.home.begin.isEnabled())
    room.home.many.set_value(many)
    qtbot.mouseClick(room.home.begin, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: room.pair is not None and room.judging.isVisible())


def press(qtbot, room, verdict):
    """Press the key for the new model, the old one, or what `verdict` names."""
    before = room.pair
    made = evaluation(room._context.store, before.evaluation_id)
    new_on_left = next(pair.new_on_left for pair in made.pairs if pair.position == before.position)
    keys = {"new": Qt.Key.Key_1 if new_on_left else Qt.Key.Key_2, "old": Qt.Key.Key_2 if new_on_left else Qt.Key.Key_1}
    qtbot.keyClick(room.judging, keys.get(verdict) or {"tie": Qt.Key.Key_Equal, "bad": Qt.Key.Key_0}[verdict])
    qtbot.waitUntil(lambda: room.pair is not before or room.result is not None)


def words(page):
    from rlhf_desktop.ui.widgets.text import Label

    return " ".join(label.text() for label in page.findChildren(Label))


def test_with_one_model_it_says_what_is_missing(qtbot, room):
    room.activated()
    qtbot.waitUntil(lambda: "Nothing has been trained" in room.home._words.text())
    assert not room.home.begin.isEnabled()
    assert room.sample.start.property("kind") == "primary"


def test_no_more_prompts_are_offered_than_are_held_out_and_a_button_adds_some(qtbot, context, room, two_models):
    room.activated()
    qtbot.waitUntil(lambda: room.home.begin.isEnabled())
    assert room.home._samples == (8, 10)
    assert room.home._words.text() == "10 prompts are held out; a verdict needs about 30: add some."
    with qtbot.waitSignal(context.session.promptsRequested) as asked:
        qtbot.mouseClick(room.home.add_prompts, Qt.MouseButton.LeftButton)
    assert asked.args == [True]
    more = [[{"role": "user", "content": f"aside {i}"}] for i in range(40)]
    context.store.prompts.create_set(context.session.project.id, "More", more, "heldout")
    context.session.feedbackChanged.emit()
    qtbot.waitUntil(lambda: room.home._words.text() == "50 prompts are held out to draw from.")
    assert room.home._samples == (8, 16, 32, 50)
    assert room.home.add_prompts.isHidden()


def test_a_comparison_asks_for_no_more_prompts_than_there_are(qtbot, context, room, two_models):
    begin(qtbot, room, 10)
    for place in range(10):
        press(qtbot, room, "new" if place % 3 else "old")
    qtbot.waitUntil(lambda: room.result is not None)
    said = words(room.result)
    assert "and no prompt is left: add some." in said or "the two are close." in said
    with qtbot.waitSignal(context.session.promptsRequested) as asked:
        qtbot.mouseClick(room.result.go_on, Qt.MouseButton.LeftButton)
    assert (room.result.go_on.text(), asked.args) == ("Add prompts…", [True])


def test_a_blind_comparison_by_keys_is_judged_stored_and_summed_up(qtbot, context, room, two_models):
    begin(qtbot, room)
    assert room.pair.total == 8
    for verdict in ("new", "new", "new", "tie", "new", "bad", "new", "new"):
        press(qtbot, room, verdict)
    qtbot.waitUntil(lambda: room.result is not None)
    judged = context.store.judged(context.session.project.id)
    assert len(judged) == 8
    assert {item.split for item in judged} == {"heldout"}
    generators = [context.store.conversations.message(j.judgement.displayed[0]).generator_id for j in judged]
    assert len(set(generators)) == 2  # both sides were shown on the left
    said = words(room.result)
    assert "On 8 prompts you preferred Kinder to Tiny 88% of the time" in said
    assert "25% ties" in said
    assert "Deliveries" in said
    assert room.result.report.win.decision == "undecided"
    assert room.result.go_on.property("kind") == "primary"


def test_nothing_on_the_judging_page_tells_who_wrote_what(qtbot, room, two_models):
    begin(qtbot, room)
    assert "Kinder" not in words(room.judging)
    assert "Tiny" not in words(room.judging)


def test_taking_back_a_blind_verdict_withdraws_it(qtbot, context, room, two_models):
    begin(qtbot, room)
    first = room.pair.position
    press(qtbot, room, "tie")
    qtbot.keyClick(room.judging, Qt.Key.Key_Backspace)
    qtbot.waitUntil(lambda: room.pair.position == first)
    assert context.store.judgements.effective(context.session.project.id) == []


def test_why_is_kept_and_its_field_takes_no_verdict(qtbot, context, room, two_models):
    begin(qtbot, room)
    qtbot.keyClick(room.judging, Qt.Key.Key_Y)
    assert room.judging.window().focusWidget() is room.judging.why
    qtbot.keyClicks(room.judging.why, "12 is too long")
    assert context.store.judgements.effective(context.session.project.id) == []
    qtbot.keyClick(room.judging.why, Qt.Key.Key_Return)
    press(qtbot, room, "new")
    (judgement,) = context.store.judgements.effective(context.session.project.id)
    assert judgement.critique == "12 is too long"


def test_a_comparison_can_be_left_looked_at_and_gone_on_with(qtbot, context, room, two_models):
    begin(qtbot, room)
    press(qtbot, room, "old")
    qtbot.keyClick(room.judging, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: room.result is not None)
    assert "Go on judging (7 left)" in room.result.go_on.text()
    room.result.closed.emit()
    qtbot.waitUntil(lambda: room.home._past.count() == 2)  # a heading and the comparison
    widgets_in(room.home._past, EvaluationRow)[0].continued.emit(room.pair.evaluation_id)
    qtbot.waitUntil(lambda: room.judging.isVisible())
    assert room.pair.done == 1


def test_an_undecided_comparison_gets_more_prompts(qtbot, context, room, two_models):
    begin(qtbot, room)
    for _ in range(8):
        press(qtbot, room, "tie")
    qtbot.waitUntil(lambda: room.result is not None)
    assert room.result.go_on.text() == "Judge more prompts"
    room.result.go_on.click()
    qtbot.waitUntil(lambda: room.pair.total == 10)
    (summary,) = evaluations(context.store, context.session.project)
    assert (summary.judged, summary.total) == (8, 10)


def test_the_winner_is_adopted_and_undo_brings_the_other_back(qtbot, context, room, two_models):
    begin(qtbot, room)
    for _ in range(8):
        press(qtbot, room, "new")
    qtbot.waitUntil(lambda: room.result is not None)
    assert room.result.report.win.decision == "better"
    assert room.result.adopt.property("kind") == "primary"
    with qtbot.waitSignal(context.session.announced) as said:
        room.result.adopt.click()
    assert context.session.adapter.name == "Kinder"
    assert adoptions(context.store, context.session.project)[0].evaluation_id == room.result.report.evaluation.id
    said.args[1]()
    qtbot.waitUntil(lambda: context.session.adapter is None)
    assert [a.adapter_name for a in adoptions(context.store, context.session.project)] == [None, "Kinder"]


def test_a_run_proposes_what_it_made_against_what_it_started_from(qtbot, room, two_models):
    room.show_result_of(two_models.folder.id)
    qtbot.waitUntil(lambda: room.home.new.currentText() == "Kinder")
    assert room.home.old.currentData() is None


def test_trouble_while_answering_is_said_and_can_be_tried_again(qtbot, context, room, two_models):
    prompts = [[{"role": "user", "content": f"trouble {i}"}] for i in range(4)]
    room.activated()
    qtbot.waitUntil(lambda: room.home.begin.isEnabled())
    room.home.show_writing(True)
    room._maker.start(context.session.base, prompts, None, None, _sampling(), 0)
    qtbot.waitUntil(lambda: room.home._trouble.isVisible())
    assert "out of memory" in room.home._trouble.words.text()
    assert room.home.begin.isVisible()


def test_answers_are_written_some_at_a_time_and_each_finds_its_prompt(qtbot, context, monkeypatch):
    maker, sent, shown = AnswerMaker(context.chat), [], []
    together = context.chat.generate_together
    monkeypatch.setattr(context.chat, "generate_together", lambda *parts: sent.append(len(parts[0])) or together(*parts))
    maker.progressed.connect(lambda done, total, left: shown.append((done, total, left)))
    prompts = [[{"role": "user", "content": f"question {i}"}] for i in range(19)]
    with qtbot.waitSignal(maker.finished) as said:
        maker.start(context.session.base, prompts, None, None, _sampling(), 0)
    assert sent == [8, 8, 3, 8, 8, 3]
    for prompt, old, new in said.args[0]:
        assert old.text == new.text == f"answer 0 to {prompt[0]['content']}"
    assert len(said.args[0]) == 19
    assert [done for done, _, _ in shown] == list(range(39))
    assert shown[8][2] is None  # the first request waited for the model
    assert shown[-1][1:] == (38, 0.0)


def _sampling():
    from rlhf_desktop.core.protocol import Sampling

    return Sampling()


@pytest.fixture
def measures(monkeypatch):
    """Probes answered without a model: the new model writes a third of the words."""

    def made(model, base, adapter, words):
        facts, neutral = [0.0] * 12, [(-100.0, 50)] * 12
        answers = [" ".join(f"word{i}" for i in range(words + n % 5)) for n in range(24)]
        return ProbeMeasures(
            created="2026-03-14T09:00:00.000+00:00", model=model, base_hash=base.hash, adapter_hash=adapter.hash if adapter else "",
            probes="p", answers=answers, cautious=answers[:12], siding=facts, neutral=neutral,
        )  # fmt: skip

    def probe(client, *, base, adapter, workspace, on_progress):
        on_progress(BatchProgress(5, 10, 3.0))
        return made(adapter.name if adapter else base.name, base, adapter, 10 if adapter else 30)

    monkeypatch.setattr(lookup, "probe_model", probe)
    monkeypatch.setattr(lookup, "ChatWorker", FakeClient)
    for name in ("questions", "caution", "facts", "neutral"):
        count = 24 if name == "questions" else 12
        rows = [{"prompt": f"{name} {i}", "question": "q", "wrong": "w", "right": "r", "text": "t"} for i in range(count)]
        monkeypatch.setitem(FAKE_PROBES, name, rows)
    monkeypatch.setattr(probes, "_probes", FAKE_PROBES.__getitem__)


FAKE_PROBES = {}


class FakeClient:
    def __enter__(self):
        return self

    def __exit__(self, *what):
        return None

    def load(self, base):
        return None


def test_side_effects_are_measured_and_the_flagged_one_stands_out(qtbot, room, two_models, measures):
    begin(qtbot, room)
    press(qtbot, room, "new")
    qtbot.keyClick(room.judging, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: room.result is not None)
    with qtbot.waitSignal(room.measuring.succeeded):
        room.result.effects.measure.click()
    room.measuring.wait()
    dials = room.result.effects.findChildren(EffectDial)
    assert len(dials) == 6
    said = words(room.result.effects)
    assert said.count("worth a look") == 1
    assert "→" in said
    assert "words →" not in said  # a unit is said once
    assert "Kinder" in said
    assert room.result.effects.measure.isHidden()


def test_measuring_can_be_stopped(qtbot, room, two_models, measures, monkeypatch):
    def endless(workspace, base, made, tell):
        while True:
            tell(("Tiny", BatchProgress(1, 10, None)))

    monkeypatch.setattr(lookup, "measure_effects", endless)
    begin(qtbot, room)
    qtbot.keyClick(room.judging, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: room.result is not None)
    room.result.effects.measure.click()
    with qtbot.waitSignal(room.measuring.stopped):
        room.result.effects.stop.click()
    assert room.result.effects.measure.isVisible()
    room.measuring.wait()


@pytest.fixture
def reward_run(context):
    run = ScriptedRun(context, algorithm="reward", title="My preferences")
    run.result("reward")
    run.state("done")
    chance = np.random.default_rng(0)
    scores = chance.normal(size=(2, 60))
    judged = Judged(np.arange(60).reshape(30, 2), np.zeros(30, dtype=bool), np.zeros(30))
    heldout = Heldout([f"p{i // 4}" for i in range(60)], np.arange(60) + 5, scores, judged)
    (run.folder.path / "report.json").write_text(reward_report(heldout).model_dump_json())
    return run


def test_a_reward_models_page_says_how_often_it_agrees(qtbot, room, reward_run):
    room.show_result_of(reward_run.folder.id)
    qtbot.waitUntil(lambda: room.reward is not None)
    said = words(room.reward)
    assert "of your choices" in said
    assert "30 pairs from 15 held-out prompts" in said
    assert "the more they do, the less it knows" in said
    assert "Does it know when it is unsure?" in said
    reliability = next(p for p in room.reward._plots if p.accessibleName() == "Reliability diagram")
    assert "sure" in reliability.accessibleDescription()
    room.reward.closed.emit()
    assert room.reward is None


def test_a_reward_model_without_a_report_says_so(qtbot, room, reward_run):
    (reward_run.folder.path / "report.json").unlink()
    room.show_result_of(reward_run.folder.id)
    qtbot.waitUntil(lambda: room.reward is not None)
    assert "No held-out report" in words(room.reward)


def test_the_mistakes_it_was_surest_of_are_shown(qtbot, room, reward_run, monkeypatch):
    mistake = Mistake([{"role": "user", "content": "Where is it?"}], "Here.", "There.", 0.93)
    found = RewardReview((1.0, 0.2, -0.5), (0.1, 0.3, -0.7), (mistake,), 3)
    monkeypatch.setattr(lookup, "review", lambda *parts: (parts[-1](BatchProgress(1, 2, 4.0)), found)[1])
    room.show_result_of(reward_run.folder.id)
    qtbot.waitUntil(lambda: room.reward is not None)
    with qtbot.waitSignal(room.reviewing.succeeded):
        room.reward.review.click()
    room.reviewing.wait()
    said = words(room.reward)
    assert "orders 1 of 3 held-out pairs the other way" in said
    assert "93% sure, and wrong" in said
    room.show_home()


def test_a_long_work_reports_its_steps_and_its_end(qtbot):
    work = LongWork("the sample project")

    def steps(tell):
        tell(DemoEvent("sft", "Examples", 2, 7, "step 3", 0.5, 30.0))
        return "report"

    with qtbot.waitSignals([work.progressed, work.succeeded]):
        work.start(steps)
    work.wait()


def test_the_sample_project_says_how_long_it_will_take(qtbot):
    card = SampleCard()
    qtbot.addWidget(card)
    card.show_running(True)
    card.show_progress(DemoEvent("sft", "Examples", 2, 7, foreseen_s=660.0))
    assert "Step 2 of 7: Examples  ·  about 11 min in all" in words(card)
    card.show_progress(DemoEvent("prepare", "Getting ready", 1, 7))
    assert "in all" not in words(card)
    card.show_progress(DemoEvent("sft", "Examples", 2, 7, "measuring the result", 1.0, 0.0))
    assert "measuring the result" in words(card)
    assert "left" not in words(card)


def test_stopping_and_failing_are_told_apart(qtbot):
    work = LongWork("the sample project")

    def fail(tell):
        raise AppError("The disk is full.", "Free some.")

    with qtbot.waitSignal(work.failed) as failed:
        work.start(fail)
    assert "disk is full" in str(failed.args[0])
    work.wait()

    def endless(tell):
        while True:
            tell(DemoEvent("sft", "Examples", 2, 7))

    with qtbot.waitSignal(work.stopped):
        work.start(endless)
        work.stop()
    work.wait()


def test_without_a_model_there_is_nothing_to_compare_and_it_says_so(room, context):
    context.session.set_model(None)
    room.compare(None, None, 4)
    assert "Choose one in Models." in room.home._trouble.words.text()
    assert not room._maker.busy
