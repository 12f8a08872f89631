"""Round after round: what belongs to which, what to do next, and the way back."""

import pytest
from operations_helpers import BASE, QuietQueue, adapter_of, example, finish, ranking, user, write_lines

from rlhf_desktop.core.protocol import Completion, Sampling
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.jobs.runnotes import annotate_run
from rlhf_desktop.operations.blind import begin_evaluation, judge_pair, next_pair
from rlhf_desktop.operations.feedback import import_feedback
from rlhf_desktop.operations.lineage import adapter_lineage
from rlhf_desktop.operations.rounds import ENOUGH_CAME_BACK, FIRST_TRAINING, adopt, adoptions, learning_hint, next_step, rounds
from rlhf_desktop.operations.training import start_run

PROMPTS = [user(f"Held out {n}") for n in range(20)]


class Loop:
    """A project that goes through its loop."""

    def __init__(self, store, project, workspace, tmp_path):
        self.store, self.project, self.workspace, self.tmp_path = store, project, workspace, tmp_path
        self.queue = QuietQueue(workspace)
        self.asked = 0
        store.prompts.create_set(project.id, "held out", PROMPTS, "heldout")

    def judge(self, count):
        rows = [ranking(f"Question {self.asked + n}", "good", "bad") for n in range(count)]
        self.asked += count
        import_feedback(self.store, self.project, write_lines(self.tmp_path / f"{self.asked}.jsonl", *rows))

    def train(self, algorithm="dpo", start=None, **metrics):
        return finish(self.begin(algorithm, start), **metrics)

    def begin(self, algorithm="dpo", start=None):
        return start_run(self.store, self.queue, self.project, algorithm, base=BASE, start=start)

    def evaluate(self, run, outcomes):
        """`outcomes`: for each pair the verdict for the new model."""
        pairs = [(p, self.completion("old"), self.completion("new")) for p in PROMPTS[: len(outcomes)]]
        made = begin_evaluation(
            self.store, self.project, base=BASE, old=None, new=adapter_of(run), sampling=Sampling(), seed=1, answered=pairs
        )
        for outcome in outcomes:
            if outcome is not None:
                pair = next_pair(self.store, made.id, "me")
                better = "left" if (pair.left == "new") == (outcome == 1) else "right"
                judge_pair(self.store, pair, "tie" if outcome == 0.5 else better, who="me", seconds=1)
        return made

    @staticmethod
    def completion(text):
        return Completion(id="r", prompt=0, completion=0, text=text, tokens=1, finish="end")

    @property
    def next(self):
        return next_step(self.store, self.queue, self.project)

    @property
    def rounds(self):
        return rounds(self.store, self.queue, self.project)


@pytest.fixture
def loop(store, project, workspace, tmp_path):
    return Loop(store, project, workspace, tmp_path)


def test_the_way_through_the_first_round(loop):
    assert (loop.next.kind, loop.next.sentence) == ("judge", "Next: compare a few answers")
    loop.judge(40)
    assert loop.next.sentence == f"Next: {FIRST_TRAINING - 40} more judgements, then train"
    loop.judge(40)
    assert loop.next.kind == "train"
    waiting = loop.begin()
    assert (loop.next.kind, loop.next.run_id) == ("wait", waiting.id)
    finish(waiting)
    assert (loop.next.kind, loop.next.room, loop.next.run_id) == ("evaluate", "evaluate", waiting.id)
    made = loop.evaluate(waiting, [1] * 15)
    assert (loop.next.kind, loop.next.evaluation_id) == ("adopt", made.id)
    adopt(loop.store, loop.project, adapter_of(waiting), who="me", evaluation_id=made.id)
    assert loop.next.sentence == "Next: 30 more judgements of the adopted model's answers, then train"
    assert [r.number for r in loop.rounds] == [1, 2]


def test_written_examples_are_taught_first(loop):
    rows = [example(f"Example {n}", "good") for n in range(24)]
    import_feedback(loop.store, loop.project, write_lines(loop.tmp_path / "e.jsonl", *rows[:19]))
    assert loop.next.kind == "judge"
    import_feedback(loop.store, loop.project, write_lines(loop.tmp_path / "f.jsonl", *rows[19:]))
    assert (loop.next.kind, loop.next.room, loop.next.sentence) == ("train", "train", "Next: teach the model your 24 examples")
    run = loop.train("sft")
    annotate_run(run, archived=True)
    assert loop.next.kind == "judge"  # taught already


def test_an_archived_result_is_not_suggested(loop):
    loop.judge(80)
    annotate_run(loop.train(), archived=True)
    assert loop.next.kind == "judge"


def test_a_reward_model_leads_to_practice(loop):
    loop.judge(80)
    loop.train("reward")
    assert (loop.next.kind, loop.next.sentence) == ("train", "Next: improve with PPO against what you prefer")


@pytest.mark.parametrize(
    ("outcomes", "kind", "said"),
    [
        ([1] * 3 + [None] * 5, "evaluate", "judge 5 more blind pairs"),
        ([0] * 12, "judge", "is worse"),
        ([1, 0] * 8, "evaluate", "the two models are close"),
        ([1, 1, 1, 0] * 4, "evaluate", "more blind pairs decide"),
    ],
)
def test_what_the_verdict_leads_to(loop, outcomes, kind, said):
    loop.judge(80)
    loop.evaluate(loop.train(), outcomes)
    assert loop.next.kind == kind
    assert said in loop.next.sentence


def test_each_round_has_its_own(loop):
    loop.judge(70)
    first = loop.train()
    judged = loop.evaluate(first, [1] * 15)
    adopt(loop.store, loop.project, adapter_of(first), who="me")
    loop.judge(12)
    second = loop.train(start=adapter_of(first))
    one, two = loop.rounds
    assert (one.judgements, [r.id for r in one.runs], [e.evaluation.id for e in one.evaluations]) == (70, [first.id], [judged.id])
    assert (two.judgements, [r.id for r in two.runs], two.evaluations) == (12, [second.id], ())
    assert (one.open, one.adopted.run_id, two.open) == (False, first.id, True)


def test_a_step_back_ends_no_round_and_is_remembered(loop):
    loop.judge(70)
    first = loop.train()
    adopt(loop.store, loop.project, adapter_of(first), who="me")
    adopt(loop.store, loop.project, None, who="me")
    adopt(loop.store, loop.project, adapter_of(first), who="me")
    assert len(loop.rounds) == 2
    assert [a.adapter_name for a in adoptions(loop.store, loop.project)] == ["DPO 1", None, "DPO 1"]
    assert loop.store.settings.get("adapter", project_id=loop.project.id) == str(first.adapter)
    adopt(loop.store, loop.project, None, who="me")
    assert loop.store.settings.get("adapter", project_id=loop.project.id) is None


def test_an_adapter_leads_back_to_the_exact_feedback(loop):
    loop.judge(40)
    first = loop.train()
    loop.judge(5)
    second = loop.train(start=adapter_of(first))
    newer, older = adapter_lineage(loop.workspace, adapter_of(second))
    assert [newer.config.run_id, older.config.run_id] == [second.id, first.id]
    assert (len(older.judgements), len(newer.judgements)) == (40, 45)
    assert set(older.judgements) < set(newer.judgements)
    assert older.trained_on + older.held_out == 40
    assert older.data_sha256 == first.config().data_sha256
    assert older.guideline_versions == (0,)
    assert older.first <= older.last < newer.last
    assert "rlhf-desktop" in older.versions or older.versions


def test_examples_are_the_feedback_of_a_run_on_examples(loop):
    loop.judge(3)
    rows = [example(f"Example {n}", "good") for n in range(12)]
    import_feedback(loop.store, loop.project, write_lines(loop.tmp_path / "e.jsonl", *rows))
    (step,) = adapter_lineage(loop.workspace, adapter_of(loop.train("sft")))
    assert len(step.judgements) == 12


def test_a_run_from_a_file_has_no_judgements(loop):
    path = write_lines(loop.tmp_path / "f.jsonl", *(ranking(f"File {n}", "good", "bad") for n in range(12)))
    run = finish(start_run(loop.store, loop.queue, loop.project, "dpo", base=BASE, data_file=path))
    (step,) = adapter_lineage(loop.workspace, adapter_of(run))
    assert (step.judgements, step.guideline_versions, step.trained_on + step.held_out) == ((), (), 12)


def test_the_hint_rests_on_earlier_runs(loop):
    loop.judge(80)
    guess = learning_hint(loop.store, loop.queue, loop.project, "reward")
    assert "rule of thumb" in guess.sentence
    assert guess.sentence.startswith(f"{guess.have} of about {guess.suggested} comparisons.")
    loop.train("reward", **{"eval/rewards/accuracies": 0.72, "eval/pairs": 12.0})
    known = learning_hint(loop.store, loop.queue, loop.project, "reward")
    assert "1 earlier run" in known.sentence
    assert known.points[0].comparisons == known.have
    assert [n for n, _ in known.curve[:3]] == [0, 20, 40]


@pytest.mark.parametrize(("alike", "seen"), [(12, 12), (9, 12), (8, 8)])
def test_the_curve_rises_to_how_often_one_agrees_with_oneself(loop, alike, seen):
    loop.judge(80)
    before = learning_hint(loop.store, loop.queue, loop.project, "reward")
    for place, first in enumerate(loop.store.judgements.all(loop.project.id)[:seen]):
        ranks = Ranking((1, 2)) if place < alike else Ranking((2, 1))
        loop.store.judgements.add(Judgement(loop.project.id, first.who, first.displayed, ranks, purpose="repeat"))
    after = learning_hint(loop.store, loop.queue, loop.project, "reward")
    change = after.curve[-1][1] - before.curve[-1][1]
    if seen < ENOUGH_CAME_BACK:
        assert change == 0
    else:
        assert (change > 0.02) if alike == seen else (change < -0.02)


def test_examples_have_no_curve(loop):
    hint = learning_hint(loop.store, loop.queue, loop.project, "sft")
    assert (hint.curve, hint.sentence) == ((), "0 of 20 examples suggested")
