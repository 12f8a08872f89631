"""Runs side by side: what differs, what is best by held-out prompts, and when nothing can say."""

import pytest
from operations_helpers import BASE, QuietQueue, adapter, example, finish, ranking, write_lines

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.jobs.runnotes import annotate_run
from rlhf_desktop.operations.comparing import compare_runs
from rlhf_desktop.operations.feedback import import_feedback
from rlhf_desktop.operations.training import start_run


@pytest.fixture
def start(store, project, workspace, tmp_path):
    rows = [ranking(f"Question {n}", "good", "bad") for n in range(30)] + [example(f"Question {n}", "good") for n in range(30)]
    import_feedback(store, project, write_lines(tmp_path / "taught.jsonl", *rows))

    def begin(algorithm="dpo", metrics=None, **parts):
        run = start_run(store, QuietQueue(workspace), project, algorithm, base=BASE, **parts)
        return finish(run, **(metrics or {}))

    return begin


def test_what_differs_is_marked_and_renames_show(start):
    first, second = start(settings={"epochs": 1}), start(settings={"epochs": 3})
    annotate_run(second, title="Longer")
    compared = compare_runs([first, second])
    assert compared.titles == ("DPO 1", "Longer")
    assert {row.name: row.values for row in compared.rows if row.differs} == {"epochs": ("1", "3")}
    assert next(row for row in compared.rows if row.name == "base model").values == ("tiny", "tiny")


@pytest.mark.parametrize(
    ("algorithm", "metric", "values", "best"),
    [
        ("dpo", "eval/loss", (0.61, 0.55), 1),
        ("sft", "eval/loss", (1.2, 1.9), 0),
        ("reward", "eval/rewards/accuracies", (0.7, 0.8), 1),
    ],
)
def test_the_best_is_by_held_out_prompts(start, algorithm, metric, values, best):
    runs = [start(algorithm, {metric: value, "wall_s": 9.0}) for value in values]
    compared = compare_runs(runs)
    assert compared.best == runs[best].id
    assert "may be chance" in compared.why
    assert [row.name for row in compared.metrics] == [metric, "wall_s"]
    assert compared.metrics[0].values == values


def test_a_tie_names_nobody(start):
    compared = compare_runs([start(metrics={"eval/loss": 0.5}), start(metrics={"eval/loss": 0.5})])
    assert (compared.best, compared.why) == (None, "Several are equally good by loss on held-out comparisons (0.5).")


def test_practice_scores_and_mixed_kinds_prove_nothing(start):
    ppo = [start("ppo", {"objective/scores": s}, reward=adapter("Judge")) for s in (1.0, 2.0)]
    assert compare_runs(ppo).best is None
    assert "practice" in compare_runs(ppo).why
    mixed = compare_runs([ppo[0], start(metrics={"eval/loss": 0.5})])
    assert mixed.best is None
    assert "different ways" in mixed.why


def test_different_held_out_prompts_do_not_compare(start, tmp_path):
    other = write_lines(tmp_path / "other.jsonl", *(ranking(f"Other {n}", "good", "bad") for n in range(30)))
    compared = compare_runs([start(metrics={"eval/loss": 0.5}), start(metrics={"eval/loss": 0.4}, data_file=other)])
    assert compared.best is None
    assert "different held-out prompts" in compared.why


def test_one_run_is_no_comparison(start):
    with pytest.raises(BadInput, match="nothing to compare"):
        compare_runs([start()])
