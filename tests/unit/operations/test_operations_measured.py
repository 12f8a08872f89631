"""In lists an adapter shows a verdict of people before a number of its run's own."""

import pytest
from operations_helpers import BASE, QuietQueue, example, finish, ranking, write_lines

from rlhf_desktop.jobs.adapters import list_adapters
from rlhf_desktop.operations.feedback import import_feedback
from rlhf_desktop.operations.measured import measures
from rlhf_desktop.operations.training import start_run


@pytest.fixture
def made(store, project, workspace, tmp_path):
    rows = [ranking(f"Question {n}", "good", "bad") for n in range(30)] + [example(f"Question {n}", "good") for n in range(30)]
    import_feedback(store, project, write_lines(tmp_path / "taught.jsonl", *rows))

    def begin(algorithm, **metrics):
        run = start_run(store, QuietQueue(workspace), project, algorithm, base=BASE)
        finish(run, **metrics)
        return next(info for info in list_adapters(workspace) if info.run_id == run.id)

    return begin


def test_held_out_measures_by_algorithm(store, workspace, made):
    taught, judge = made("sft", **{"eval/loss": 1.234567}), made("reward", **{"eval/rewards/accuracies": 0.75})
    silent = made("dpo", wall_s=3.0)
    known = measures(workspace, store)
    assert known[taught.ref.hash] == "loss on held-out examples 1.23"
    assert known[judge.ref.hash] == "accuracy on held-out comparisons 0.75"
    assert silent.ref.hash not in known
