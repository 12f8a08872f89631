"""What a run will do: rows are cut and packed as the trainers do it, and the passes come in the trainers' order."""

import pytest
from estimates_helpers import CPU
from operations_helpers import adapter

from rlhf_desktop.core.measures import RowSize
from rlhf_desktop.operations.workload import RowSizes, RunPlan, Workload, packed
from rlhf_desktop.training.batch import Group, micro_batches

SIZES = RowSizes((RowSize(prompt=50, answers=[60]),) * 4, (RowSize(prompt=20, answers=[30]),))


@pytest.fixture
def work(smol):
    """Makes a workload of some settings."""

    def make(algorithm, sizes=SIZES, free_bytes=None, **settings):
        plan = RunPlan(algorithm, smol, settings, reward=adapter() if algorithm == "ppo" else None)
        return Workload(plan, sizes, CPU, answer_tokens=[40, 160], free_bytes=free_bytes)

    return make


def order(work):
    return [(each.kind, each.tokens) for each in work.passes()]


def test_packing_is_the_trainers_own():
    sizes = [
        RowSize(prompt=p, answers=[a]) for p, a in [(40, 60), (90, 200), (10, 5), (300, 300), (64, 64), (50, 50), *[(12, 8)] * 40]
    ]
    groups = [Group([0] * row.prompt, [[0] * row.answers[0]]) for row in sizes]
    theirs = [[groups[i].tokens for i in picks] for picks in micro_batches(groups, 512)]
    assert [[row.tokens for row in part] for part in packed(sizes, 512)] == theirs


def test_packing_is_the_trainers_own_on_the_general_road_too():
    sizes = [RowSize(prompt=p, answers=a) for p, a in [(40, [60]), (90, [50, 20]), (10, [5]), (30, [3] * 4), *[(12, [8, 2])] * 20]]
    groups = [Group([0] * row.prompt, [[0] * answer for answer in row.answers]) for row in sizes]
    theirs = [[groups[i].tokens_on("general") for i in picks] for picks in micro_batches(groups, 512, "general")]
    assert [[row.tokens_on("general") for row in part] for part in packed(sizes, 512, "general")] == theirs


def test_rows_are_cut_at_max_length(work):
    long = RowSizes((RowSize(prompt=3000, answers=[100]),) * 4)
    cut = work("sft", sizes=long, max_length=256, epochs=1)
    assert cut.train == [RowSize(prompt=156, answers=[100])] * 4
    assert cut.tokens == 4 * 256


def test_examples_are_checked_before_and_after_each_pass_over_them(work):
    learned, checked = [("train", 220)] * 2, [("forward", 50)]
    assert order(work("sft", batch_size=2, epochs=2)) == [*checked, *learned, *checked, *learned, *checked]


def test_every_scorer_sees_the_rankings_and_all_are_calibrated_at_the_end(work):
    learned, checked = [("train", 220)] * 2, [("forward", 50)]
    assert order(work("reward", batch_size=2, epochs=1, ensemble=2)) == [*learned, *learned, *checked, ("forward", 440)]


def test_the_reference_is_asked_for_everything_first(work):
    assert order(work("dpo", epochs=1)) == [("forward", 490), ("train", 440), ("forward", 50)]


def test_ppos_batches_are_looked_at_and_then_learned_from_and_never_alike(work):
    practised = work("ppo", batch_size=4, episodes=8, max_new_tokens=100, minibatches=2, ppo_epochs=1)
    assert practised.train[0].answers == [70]  # the mean of 40 and 160 cut at 100
    batch = [("forward", 480), ("train", 240), ("train", 240)]
    assert order(practised) == [*batch, *batch, *[("forward", 90)] * 3]
    assert [each.batch for each in practised.passes()] == [0, 0, 0, 1, 1, 1, -1, -2, -3]
    assert practised.updates == 4


def test_too_little_memory_is_made_do_with_by_checkpointing(work):
    assert work("sft", free_bytes=None).checkpointing is False
    assert work("sft", free_bytes=30 * 10**9).checkpointing is False
    tight = work("sft", free_bytes=10**9)
    assert tight.checkpointing
    assert tight.budget == 110  # the longest row, which cannot be cut
