import random

import pytest
from operations_helpers import user

from rlhf_desktop import operations
from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.feedback.quality import REPEAT_GAP
from rlhf_desktop.operations.history import heldout_prompts, unjudged_prompts
from rlhf_desktop.operations.quality import next_repeat, quality, settle, team_quality, unsettled


def judge(store, project, text, ranks=(1, 2), who="Ada", **fields):
    _, question = store.conversations.start(project.id, user(text))
    ids = tuple(node.id for node in store.conversations.add_answers(question.id, ["answer one", "answer two"]))
    return store.judgements.add(Judgement(project.id, who, ids, Ranking(ranks), **fields))


def again(store, judgement, ranks, who, **fields):
    return store.judgements.add(Judgement(judgement.project_id, who, judgement.displayed, Ranking(ranks), **fields))


def test_the_dashboard_measures_what_is_in_effect(store, project):
    store.prompts.create_set(project.id, "set", [user("Q0"), user("Q1"), user("Other")], tags=[("hard",), (), ("hard",)])
    made = [judge(store, project, f"Q{n}", seconds_spent=0.2 if n == 0 else 20.0) for n in range(4)]
    again(store, made[0], (2, 1), "Bo")
    again(store, made[1], (1, 2), "Ada", purpose="repeat")
    store.judgements.withdraw(made[3].id, "Ada")
    found = quality(store, project)
    assert found.counts == {"Ada": 4, "Bo": 1}
    assert (found.self_agreement.value, found.self_agreement.n) == (1.0, 1)
    assert found.hasty == (made[0].id,)
    assert found.hasty_share.n == 3
    assert found.coverage == {"": (1, 1), "hard": (1, 2)}
    assert (found.overlap.n, found.unsettled, len(found.alphas)) == (3, 1, 1)
    assert quality(store, project, who="Bo").ties.n == 1


def test_the_dashboard_of_a_large_project_looks_at_the_newest(store, project, monkeypatch):
    monkeypatch.setattr(operations.quality, "MOST", 3)
    made = [judge(store, project, f"Q{n}", (1, 1) if n < 2 else (1, 2)) for n in range(5)]
    again(store, made[0], (1, 1), "Ada", purpose="repeat")
    found, queue = team_quality(store, project)
    assert (found.looked_at, found.judgements, found.ties.value, queue) == (3, 6, 0.0, [])
    assert found.self_agreement.n == 1  # the item that came back, wherever its first judgement is


def test_an_empty_project_has_a_dashboard_too(store, project):
    found = quality(store, project)
    assert (found.counts, found.self_agreement.n, found.alphas, found.pace) == ({}, 0, (), ())


def test_a_settled_disagreement_speaks_for_both(store, project):
    one = judge(store, project, "Q", (1, 2))
    again(store, one, (2, 1), "Bo")
    store.guidelines.save(project.id, "Prefer brevity.", "Chief")
    (open_one,) = unsettled(store, project)
    decision = settle(store, open_one, "Chief", [Ranking((2, 1))], "Shorter.")
    assert (decision.purpose, decision.guideline_version, decision.critique) == ("adjudication", 1, "Shorter.")
    assert unsettled(store, project) == []
    store.projects.fix_split(project.id, [user("Q")], "train")
    (row,) = store.snapshot_rows(project.id, "reward")
    assert [answer.rank for answer in row.completions] == [2, 1]
    with pytest.raises(BadInput):
        settle(store, open_one, "Chief", [])


def test_an_item_returns_when_it_is_due_and_is_each_persons_own(store, project):
    for n in range(REPEAT_GAP + 15):
        judge(store, project, f"Q{n}")
    due = next_repeat(store, project, "Ada", random.Random(1))
    assert due.displayed == due.of.displayed[::-1]
    assert next_repeat(store, project, "Bo", random.Random(1)) is None
    again(store, due.of, (2, 1), "Ada", purpose="repeat")
    assert next_repeat(store, project, "Ada", random.Random(1)) is None
    protocol = store.protocols.get(project.id)
    store.protocols.set(project.id, protocol.model_copy(update={"repeat_share": 0.0}))
    assert next_repeat(store, project, "Ada", random.Random(1)) is None


def test_prompts_judged_and_taken_back_wait_again(store, project):
    store.prompts.create_set(project.id, "set", [user("Q0"), user("Q1")], "heldout")
    made = judge(store, project, "Q0")
    assert [prompt.prompt for prompt in unjudged_prompts(store, project, 10)[0]] == [user("Q1")]
    store.judgements.withdraw(made.id, "Ada")
    assert unjudged_prompts(store, project, 1)[1:] == (2, 2)
    assert heldout_prompts(store, project) == [user("Q0"), user("Q1")]
