"""Batches of answers and scores: order, progress, and room on the disk before the work."""

import pytest
from operations_helpers import BASE, RuleClient, adapter, user

from rlhf_desktop.core.errors import BadInput, NoSpace
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.operations import rows as rows_module
from rlhf_desktop.operations.generation import check_room, generate_answers, score_answers
from rlhf_desktop.operations.rows import Answer, AnswerRow

PROMPTS = [user("Q1"), user("Q2")]


def test_answers_are_in_the_prompts_order_and_progress_ends_at_all():
    seen = []
    rows = generate_answers(RuleClient(), PROMPTS, base=BASE, k=2, adapter=adapter(), on_progress=seen.append)
    assert rows == [AnswerRow(prompt, (Answer("Tuned answer 0"), Answer("Tuned answer 1"))) for prompt in PROMPTS]
    assert [(p.done, p.total) for p in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert seen[-1].eta_s == 0


@pytest.mark.parametrize("k", [0, 65])
def test_a_number_of_answers_out_of_bounds_is_refused(k):
    with pytest.raises(BadInput, match="do not work"):
        generate_answers(RuleClient(), PROMPTS, base=BASE, k=k)


def test_scores_go_to_their_answers_over_several_requests():
    client = RuleClient()
    rows = [AnswerRow(user(f"Q{n}"), (Answer("x" * n), Answer("yy"))) for n in range(150)]
    scored = score_answers(client, rows, base=BASE, reward=adapter())
    assert [row.completions for row in scored] == [(Answer("x" * n, n), Answer("yy", 2.0)) for n in range(150)]
    assert sum(client.scored_at_once) == 150
    assert len(client.scored_at_once) > 1


def test_several_scorers_say_how_far_they_agree():
    rows = [AnswerRow(user("Q"), (Answer("xxx"), Answer("x")))]
    (scored,) = score_answers(RuleClient(several_scorers=True), rows, base=BASE, reward=adapter())
    assert scored.completions == (Answer("xxx", 3.0, 0.5, 2.0), Answer("x", 1.0, 0.5, 0.0))
    assert scored.as_json()["completions"][0] == {"text": "xxx", "score": 3.0, "std": 0.5, "min": 2.0}


def test_too_little_room_for_the_answers_is_said_before_they_are_made(tmp_path, monkeypatch):
    usage = rows_module.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(rows_module.shutil, "disk_usage", lambda _: usage)
    check_room(tmp_path / "out.jsonl", PROMPTS, 1, Sampling(max_new_tokens=10))
    with pytest.raises(NoSpace):
        check_room(tmp_path / "out.jsonl", PROMPTS, 4, Sampling(max_new_tokens=256))
