import torch

from rlhf_desktop.training.answers import Answers
from rlhf_desktop.training.batch import Group

GROUPS = [Group([1], [[2, 3], [4]]), Group([5, 6], [[7]])]


def made():
    tokens = torch.tensor([1.0, 2.0, 4.0, 8.0])
    each = torch.zeros(3)
    return Answers(
        GROUPS, [[0, 1]], each.bool(), each, 0.0, each, bad_parts=tokens / 2, logprobs=tokens, reference=-tokens,
        values=tokens, entropy=tokens, mismatch=0.0,
    )  # fmt: skip


def test_tokens_that_lie_end_to_end_are_told_apart_by_group_and_by_answer():
    answers = made()
    assert (answers.ids, answers.lengths, answers.spans) == ([[2, 3], [4], [7]], [2, 1, 1], [range(3), range(3, 4)])
    assert answers.kl.tolist() == [6.0, 8.0, 16.0]
    assert answers.badness.tolist() == [1.5, 2.0, 4.0]


def test_the_watchdog_sees_means_over_answers_and_tokens():
    health = made().health
    assert (health.kl, health.entropy, health.length) == (10.0, 3.75, 4 / 3)
