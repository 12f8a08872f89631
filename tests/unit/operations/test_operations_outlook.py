"""The one next step and the numbers that go with it, through every turn of the loop."""

import pytest
from operations_helpers import BASE, HELD_OUT, Loop, adapter_of, example, finish, write_lines

from rlhf_desktop.evaluation.confidence import interval
from rlhf_desktop.jobs.runnotes import annotate_run
from rlhf_desktop.operations.agreement import Agreement
from rlhf_desktop.operations.feedback import import_feedback
from rlhf_desktop.operations.next_step import LEAST_PROMPTS, HeldOut
from rlhf_desktop.operations.outlook import outcome, outcome_of, outlook
from rlhf_desktop.operations.rounds import adopt

GOOD = {"eval/rewards/accuracies": 0.8, "eval/accuracy_low": 0.65, "eval/accuracy_high": 0.9, "eval/prompts": 40}
POOR = {"eval/rewards/accuracies": 0.3, "eval/accuracy_low": 0.05, "eval/accuracy_high": 1.0, "eval/prompts": 7}


@pytest.fixture
def loop(store, project, workspace, tmp_path):
    return Loop(store, project, workspace, tmp_path)


def test_the_way_through_the_first_round(loop):
    assert (loop.next.kind, loop.next.sentence) == ("judge", "Next: compare a few answers")
    loop.judge(40)
    there = loop.outlook.amounts["reward"]
    assert loop.next.sentence == f"Next: {there.have} of 100 comparisons; about {there.more} more judgements, then train"
    loop.judge(100)
    assert (loop.next.kind, loop.next.algorithm) == ("train", "reward")
    waiting = loop.begin()
    assert (loop.next.kind, loop.next.run_id) == ("wait", waiting.id)
    finish(waiting)
    assert (loop.next.kind, loop.next.room, loop.next.run_id) == ("evaluate", "evaluate", waiting.id)
    made = loop.evaluate(waiting, [1] * 15)
    assert (loop.next.kind, loop.next.evaluation_id) == ("adopt", made.id)
    adopt(loop.store, loop.project, adapter_of(waiting), who="me", evaluation_id=made.id)
    assert loop.next.sentence == "Next: judge about 30 more of the adopted model’s answers, then train"
    assert loop.outlook.words == "round 2 · 155 judgements"


def test_written_examples_are_taught_first(loop):
    rows = [example(f"Example {n}", "good") for n in range(30)]
    import_feedback(loop.store, loop.project, write_lines(loop.tmp_path / "e.jsonl", *rows[:10]))
    have = loop.outlook.amounts["sft"].have
    assert loop.next.kind == "judge"
    assert loop.next.sentence.startswith(f"Next: {have} of 20 examples; write about ")
    import_feedback(loop.store, loop.project, write_lines(loop.tmp_path / "f.jsonl", *rows[10:]))
    have = loop.outlook.amounts["sft"].have
    assert (loop.next.kind, loop.next.room, loop.next.sentence) == ("train", "train", f"Next: teach the model your {have} examples")
    annotate_run(loop.train("sft"), archived=True)
    assert loop.next.kind == "judge"  # taught already


def test_an_archived_result_is_not_suggested(loop):
    loop.judge(140)
    annotate_run(loop.train(), archived=True)
    assert (loop.next.kind, loop.next.sentence) == ("judge", "Next: judge about 30 more, then train")


def test_a_failed_run_changes_nothing_of_what_is_next(loop):
    loop.judge(140)
    before = loop.next
    run = loop.begin()
    run.write_status(run.status().model_copy(update={"state": "failed"}))
    assert loop.next == before


def test_a_reward_model_that_beats_a_coin_leads_to_practice(loop):
    loop.judge(80)
    loop.train("reward", **GOOD)
    assert (loop.next.kind, loop.next.algorithm) == ("train", "ppo")
    assert loop.outlook.caution == ""


@pytest.mark.parametrize("measured", [POOR, {}, {**GOOD, "eval/prompts": 5}, {**GOOD, "eval/accuracy_low": 0.49}])
def test_a_reward_model_that_is_not_shown_to_beat_a_coin_never_leads_to_practice(loop, measured):
    loop.judge(50)
    run = loop.train("reward", **measured)
    found = loop.outlook
    assert (found.step.kind, found.step.room, found.step.run_id) == ("judge", "chat", run.id)
    assert found.suggested is None
    assert found.reward.agreement.said_of("your reward model") in found.caution
    assert f"Judge about {found.step.more} more, or look again at its mistakes" in found.caution


def test_after_the_judgements_it_asked_for_it_is_trained_again(loop):
    loop.judge(40)
    loop.train("reward", **POOR)
    loop.judge(loop.next.more)
    assert (loop.next.kind, loop.next.algorithm) == ("train", "reward")
    loop.train("reward", **GOOD)
    assert loop.next.algorithm == "ppo"


def test_practice_needs_prompts_enough(loop):
    loop.judge(30)
    loop.train("reward", **GOOD)
    assert (loop.next.kind, loop.next.room, loop.next.algorithm) == ("prompts", "label", "ppo")
    assert f"{loop.outlook.amounts['ppo'].have} of 50 prompts to practise on" in loop.next.sentence
    assert loop.outlook.suggested is None


def test_a_reward_model_of_another_base_does_not_count(loop):
    loop.judge(80)
    loop.train("reward", **GOOD)
    other = BASE.model_copy(update={"hash": "other"})
    found = outlook(loop.store, loop.queue, loop.project, other)
    assert found.reward is None
    assert found.step.algorithm != "ppo"


@pytest.mark.parametrize(
    ("outcomes", "kind", "said"),
    [
        ([1] * 3 + [None] * 5, "evaluate", "judge 5 more blind pairs"),
        ([1] * 3 + [None], "evaluate", "judge 1 more blind pair"),
        ([0] * 12, "judge", "is worse. Next: "),
        ([1, 0] * 8, "judge", "The two models are close. Next: "),
        ([1, 1, 1, 0] * 4, "prompts", "decide, "),
    ],
)
def test_what_the_verdict_leads_to(loop, outcomes, kind, said):
    loop.judge(80)
    loop.evaluate(loop.train(), outcomes)
    assert loop.next.kind == kind
    assert said in loop.next.sentence


def test_after_a_worse_result_and_new_judgements_it_is_trained_again(loop):
    loop.judge(140)
    loop.evaluate(loop.train(), [0] * 12)
    assert loop.next.more == 30
    loop.judge(30)
    assert (loop.next.kind, loop.next.algorithm) == ("train", "reward")


def test_no_more_blind_pairs_are_asked_for_than_there_can_be(store, project, workspace, tmp_path):
    loop = Loop(store, project, workspace, tmp_path, held_out=16)
    import_feedback(store, project, write_lines(tmp_path / "e.jsonl", example("An example that is trained on", "good")))
    loop.evaluate(loop.train("sft"), [1, 1, 1, 0] * 4)
    assert loop.next.kind == "prompts"
    assert "no held-out prompt is left" in loop.next.sentence
    store.prompts.create_set(project.id, "more", [[{"role": "user", "content": f"Aside {n}"}] for n in range(40)], "heldout")
    assert loop.next.kind == "evaluate"
    assert "more blind pairs decide" in loop.next.sentence


def test_a_verdict_that_cannot_come_is_not_asked_for(store, project, workspace, tmp_path):
    loop = Loop(store, project, workspace, tmp_path, held_out=LEAST_PROMPTS - 1)
    import_feedback(store, project, write_lines(tmp_path / "e.jsonl", example("An example that is trained on", "good")))
    loop.train("sft")
    assert (loop.next.kind, loop.next.room, loop.next.more) == ("prompts", "label", 23)
    assert "7 prompts are held out, a verdict on “Examples 1” needs about 30" in loop.next.sentence


def test_fewer_prompts_than_the_least_decide_nothing_whatever_is_judged():
    decisions = {n: interval([1.0] * n).decision for n in range(1, LEAST_PROMPTS + 1)}
    assert [n for n, decision in decisions.items() if decision == "better"] == [LEAST_PROMPTS]


@pytest.mark.parametrize(
    ("prompts", "samples", "said"),
    [
        (0, (), "No prompt is held out yet; a verdict needs about 30: add some."),
        (1, (1,), "1 prompt is held out; a verdict needs about 30: add some."),
        (7, (7,), "7 prompts are held out; a verdict needs about 30: add some."),
        (20, (8, 16, 20), "20 prompts are held out; a verdict needs about 30: add some."),
        (64, (8, 16, 32, 64), "64 prompts are held out to draw from."),
        (300, (8, 16, 32, 64), "300 prompts are held out to draw from."),
    ],
)
def test_no_more_prompts_are_offered_than_are_held_out(prompts, samples, said):
    assert (HeldOut(prompts).samples, HeldOut(prompts).sentence) == (samples, said)


def test_a_model_that_was_never_taught_gets_examples_first(loop, tmp_path):
    (tmp_path / "bare").mkdir()
    bare = BASE.model_copy(update={"path": str(tmp_path / "bare")})
    loop.judge(140)
    step = outlook(loop.store, loop.queue, loop.project, bare).step
    assert (step.kind, step.algorithm) == ("judge", "sft")
    assert "was never taught to answer; write about" in step.sentence
    loop.train("sft") if loop.outlook.amounts["sft"].have else None
    assert loop.next.algorithm == "reward"  # one that answers


def test_a_result_whose_files_are_damaged_stops_nothing(loop):
    loop.judge(10)
    run = loop.train()
    (run.adapter / "adapter_model.safetensors").unlink()
    assert loop.next.kind == "evaluate"
    assert not outcome_of(loop.store, loop.project, loop.queue.summary(run)).ready


def test_a_result_is_praised_only_once_a_comparison_has_said_so(loop):
    loop.judge(80)
    run = loop.train()

    def said():
        return outcome_of(loop.store, loop.project, loop.queue.summary(run))

    assert (said().ready, said().sentence) == (False, "Compare it blind to see whether it is better.")
    loop.evaluate(run, [1] * 3 + [None])
    assert (said().ready, said().sentence) == (False, "The blind comparison has not decided yet whether it is better.")
    loop.evaluate(run, [1] * len(HELD_OUT))
    assert (said().ready, said().sentence) == (True, "Judged blind, it is better than the model before.")


def test_a_reward_model_is_praised_by_what_it_had_not_seen():
    assert outcome("reward", None, Agreement(0.8, 0.65, 0.9, 40)).ready
    poor = outcome("reward", None, Agreement(0.3, 0.05, 1.0, 7))
    assert not poor.ready
    assert "a coin reaches 50%" in poor.sentence


def test_what_was_taken_back_is_no_news(loop):
    loop.judge(140)
    loop.train()
    before = loop.store.standing.feedback_between(loop.project.id, "", "9999")
    newest = loop.store.judgements.all(loop.project.id)[-1]
    loop.store.judgements.withdraw(newest.id, newest.who)
    assert loop.store.standing.feedback_between(loop.project.id, "", "9999") == before - 1
