"""Round after round: what belongs to which, and the way back."""

import pytest
from operations_helpers import BASE, Loop, adapter_of, example, finish, ranking, write_lines

from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.operations.amounts import amounts
from rlhf_desktop.operations.feedback import import_feedback
from rlhf_desktop.operations.lineage import adapter_lineage
from rlhf_desktop.operations.rounds import ENOUGH_CAME_BACK, adopt, adoptions, learning_hint
from rlhf_desktop.operations.training import start_run


@pytest.fixture
def loop(store, project, workspace, tmp_path):
    return Loop(store, project, workspace, tmp_path)


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


def hint(loop, have=70):
    return learning_hint(loop.store, loop.queue, loop.project, have)


def test_the_hint_rests_on_earlier_runs(loop):
    loop.judge(80)
    guess = hint(loop)
    assert guess.sentence == "A hundred more would bring about 6 points of accuracy (by a rule of thumb)."
    loop.train("reward", **{"eval/rewards/accuracies": 0.72, "eval/pairs": 12.0})
    known = hint(loop)
    assert "1 earlier run" in known.sentence
    assert known.points[0].comparisons == amounts(loop.store, loop.project)["reward"].have
    assert [n for n, _ in known.curve[:3]] == [0, 20, 40]


@pytest.mark.parametrize(("alike", "seen"), [(12, 12), (9, 12), (8, 8)])
def test_the_curve_rises_to_how_often_one_agrees_with_oneself(loop, alike, seen):
    loop.judge(80)
    before = hint(loop)
    for place, first in enumerate(loop.store.judgements.all(loop.project.id)[:seen]):
        ranks = Ranking((1, 2)) if place < alike else Ranking((2, 1))
        loop.store.judgements.add(Judgement(loop.project.id, first.who, first.displayed, ranks, purpose="repeat"))
    after = hint(loop)
    change = after.curve[-1][1] - before.curve[-1][1]
    if seen < ENOUGH_CAME_BACK:
        assert change == 0
    else:
        assert (change > 0.02) if alike == seen else (change < -0.02)
