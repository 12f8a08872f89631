"""Measures with intervals, and when a number is no evidence."""

import pytest
from operations_helpers import BASE, QuietQueue, RuleClient, adapter, ranking, user, write_lines

from rlhf_desktop.core.errors import BadInput, NotEnoughFeedback
from rlhf_desktop.feedback.rows import RankingRow
from rlhf_desktop.operations.evaluation import caveat, compare_policies, evaluate_reward, read_rankings_file
from rlhf_desktop.operations.training import start_run


@pytest.fixture
def runs(workspace):
    return workspace.runs


@pytest.fixture
def judge(store, project, workspace, tmp_path):
    """A reward model trained on "Seen 0" … "Seen 29", as far as they are not held out."""
    path = write_lines(tmp_path / "r.jsonl", *(ranking(f"Seen {n}", "longer", "short") for n in range(30)))
    run = start_run(store, QuietQueue(workspace), project, "reward", base=BASE, data_file=path)
    return adapter("Judge", path=run.adapter, hash="judge")


def rows(*prompts, better="much longer", worse="short"):
    return [RankingRow(user(prompt), (better, worse), (1, 2)) for prompt in prompts]


def test_accuracy_is_on_unseen_prompts_and_seen_ones_are_apart(judge, runs):
    data = rows("New 1", "New 2", "New 3") + rows("New 4", better="a", worse="longer") + rows(*(f"Seen {n}" for n in range(30)))
    report = evaluate_reward(RuleClient(), data, base=BASE, reward=judge, runs=runs)
    assert report.held_out.prompts + report.seen.prompts == 34
    assert 4 <= report.held_out.prompts < 20
    wrong = round((1 - report.held_out.rate) * report.held_out.prompts)
    assert wrong == 1
    assert report.seen.rate == 1
    assert report.caveat == ""


def test_ties_of_the_expert_do_not_count_and_equal_scores_count_half(judge, runs):
    data = [RankingRow(user("New"), ("aa", "bb", "cccc"), (1, 1, 2)), RankingRow(user("Other"), ("aa", "bb"), (1, 2))]
    report = evaluate_reward(RuleClient(), data, base=BASE, reward=judge, runs=runs)
    assert report.held_out.comparisons == 3
    assert report.held_out.rate == pytest.approx((0 + 0.5) / 2)


def test_only_ties_say_nothing(judge, runs):
    with pytest.raises(NotEnoughFeedback, match="ties"):
        evaluate_reward(RuleClient(), [RankingRow(user("Q"), ("a", "b"), (1, 1))], base=BASE, reward=judge, runs=runs)


def test_all_seen_is_no_evidence(judge, runs):
    first = next(n for n in range(30) if evaluate_reward(RuleClient(), rows(f"Seen {n}"), base=BASE, reward=judge, runs=runs).seen)
    report = evaluate_reward(RuleClient(), rows(f"Seen {first}"), base=BASE, reward=judge, runs=runs)
    assert report.held_out is None
    assert report.caveat.startswith("Not evidence")


def test_without_a_reward_model_nobody_wins(runs):
    report = compare_policies(RuleClient(), [user("New 1")], base=BASE, a=None, b=adapter("B"), runs=runs)
    assert (report.a[0].texts, report.b[0].texts) == (["base answer 0"], ["B answer 0"])
    assert report.b_over_a is None


def test_a_reward_model_judges_b_over_a(judge, runs):
    prompts = [user(f"New {n}") for n in range(8)]
    report = compare_policies(RuleClient(), prompts, base=BASE, a=None, b=adapter("Longer"), runs=runs, reward=judge)
    assert report.b_over_a.rate == 1
    assert report.b_over_a.low < 1
    assert report.caveat == ""


def test_a_policy_trained_against_the_reward_model_is_no_evidence_even_one_step_further(store, project, workspace, judge, runs):
    queue = QuietQueue(workspace)
    path = write_lines(workspace.root / "p.jsonl", *({"prompt": f"Practice {n}"} for n in range(20)))
    ppo = start_run(store, queue, project, "ppo", base=BASE, reward=judge, prompts_file=path, title="Tuned")
    data = write_lines(workspace.root / "d.jsonl", *(ranking(f"More {n}", "a", "b") for n in range(20)))
    further = start_run(store, queue, project, "dpo", base=BASE, start=adapter(path=ppo.adapter), data_file=data)
    said = caveat(runs, judge, (None, adapter(path=further.adapter)), [user("New")])
    assert said.startswith("Not evidence: “Tuned” was trained to please this reward model")


def test_prompts_that_were_trained_on_are_no_evidence(judge, runs):
    said = caveat(runs, judge, (None,), [user(f"Seen {n}") for n in range(30)] + [user("New")])
    assert said.startswith("Not evidence: ")
    assert "of 31 prompts were trained on" in said


def test_a_file_without_rankings_is_refused(tmp_path):
    with pytest.raises(BadInput, match="holds no rankings"):
        read_rankings_file(write_lines(tmp_path / "f.jsonl", {"prompt": "Q", "completion": "A"}))
    with pytest.raises(BadInput, match="line 2"):
        read_rankings_file(write_lines(tmp_path / "g.jsonl", ranking("Q", "a", "b"), "{"))
