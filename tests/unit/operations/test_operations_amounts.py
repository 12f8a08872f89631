"""How much there is for each trainer, and how much more is asked for: one set of numbers."""

import pytest
from operations_helpers import example, ranking, write_lines

from rlhf_desktop.core.words import roughly
from rlhf_desktop.operations import amounts as module
from rlhf_desktop.operations.amounts import Amount, amounts
from rlhf_desktop.operations.feedback import import_feedback


@pytest.fixture
def taught(store, project, tmp_path):
    """A project with 20 rankings and 10 examples."""
    rows = [ranking(f"Question {n}", "good", "bad") for n in range(20)] + [example(f"Question {n}", "good") for n in range(10)]
    import_feedback(store, project, write_lines(tmp_path / "taught.jsonl", *rows))
    return project


def test_what_may_be_trained_on_is_counted(store, taught):
    there = amounts(store, taught)
    train = {item.prompt[0]["content"] for item in store.judged(taught.id) if item.split == "train"}
    assert there["reward"].have == there["dpo"].have == there["ppo"].have == len(train)
    assert there["sft"].have < 11
    assert there["sft"].enough
    assert there["reward"].sentence == f"{len(train)} of 100 comparisons suggested"


def test_what_is_held_out_is_said_apart(store, taught):
    there = amounts(store, taught)
    assert there["sft"].held_out > 0
    assert there["sft"].have + there["sft"].held_out == store.standing.counts(taught.id)["demonstration"]
    assert there["reward"].have + there["reward"].held_out == 20
    assert there["reward"].held_out_prompts == there["reward"].held_out
    assert Amount(20, 20, "example", held_out=4).sentence == "20 examples, 4 more held out"


def test_of_much_feedback_the_newest_of_each_form_is_looked_at(store, taught, monkeypatch):
    every = amounts(store, taught)
    monkeypatch.setattr(module, "LOOKED_AT", 12)
    monkeypatch.setitem(module.SUGGESTED, "reward", 5)
    some = amounts(store, taught)
    assert 5 <= some["reward"].have < every["reward"].have
    assert some["reward"].sentence == f"{some['reward'].have} or more comparisons"
    assert some["ppo"] == every["ppo"]
    assert some["sft"].enough


def test_an_empty_project_has_nothing(store, project):
    there = amounts(store, project)
    assert not any(amount.enough for amount in there.values())
    assert there["reward"].more == 120  # a hundred comparisons, where one prompt in seven is held out


def test_what_is_missing_is_foreseen_from_what_a_judgement_has_made_so_far(store, project, tmp_path):
    fours = [ranking(f"Question {n}", "best", "good", "fair", "bad") for n in range(10)]
    import_feedback(store, project, write_lines(tmp_path / "r.jsonl", *fours))
    there = amounts(store, project)["reward"]
    made = there.have / 10
    assert made > 4  # six from each that is not held out
    assert there.more == roughly(-(-there.missing // made)) < 20


def test_one_of_a_thing_is_said_so():
    assert Amount(1, 1, "comparison").sentence == "1 comparison"
