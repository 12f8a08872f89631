"""Evaluations and adoptions are kept by id, and go with what they name."""

import pytest

from rlhf_desktop.core.errors import NotFound
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.feedback.conversations import Generator
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.evaluations import Adoption, EvaluationPair, StoredEvaluation

BASE = ModelRef(name="tiny", path="/models/tiny", hash="base-hash")


@pytest.fixture
def made(store, project):
    """An evaluation with one pair, and the two messages of it."""
    sides = [Generator.of(BASE, None, Sampling(temperature=t)) for t in (0.5, 1.0)]
    _, leaf = store.conversations.start(project.id, [{"role": "user", "content": "Q"}], "label")
    old, new = (store.conversations.add_completions(leaf.id, [NewCompletion("a")], side)[0] for side in sides)
    stored = StoredEvaluation(project.id, "New against old", sides[0].id, sides[1].id, 7)
    store.evaluations.add(stored)
    store.evaluations.add_pairs(stored.id, [EvaluationPair(0, old.id, new.id, True)])
    return stored, old, new


def test_an_evaluation_is_kept_as_it_was_given(store, project, made):
    stored, old, new = made
    assert store.evaluations.get(stored.id) == stored
    assert store.evaluations.get(stored.id[:30]) == stored
    assert store.evaluations.all(project.id) == [stored]
    assert store.evaluations.pairs(stored.id)[0].displayed == (new.id, old.id)


@pytest.mark.parametrize("wrong", ["", "nothing", "%"])
def test_an_unknown_evaluation_is_said(store, made, wrong):
    with pytest.raises(NotFound, match="no such evaluation"):
        store.evaluations.get(wrong)


def test_it_finds_its_judgements_and_what_takes_them_back(store, project, made):
    stored, old, new = made
    given = store.judgements.add(Judgement(project.id, "me", (new.id, old.id), Ranking((1, 2))))
    undone = store.judgements.withdraw(given.id, "me")
    assert store.evaluations.judgements_of(stored.id) == [given.id, undone.id]


def test_an_erased_message_takes_its_pair_along(store, made):
    stored, old, _ = made
    with store.connection.transaction():
        store.connection.execute("INSERT INTO tombstones VALUES (?, '2026-01-01')", (old.id,))
        store.connection.execute("DELETE FROM messages WHERE id = ?", (old.id,))
    assert store.evaluations.pairs(stored.id) == []
    assert store.connection.rows("PRAGMA foreign_key_check") == []


def test_adoptions_come_newest_first(store, project):
    first = Adoption(project.id, "me", "Kinder", "hash", "/runs/1/adapter", "1")
    back = Adoption(project.id, "me")
    store.evaluations.adopt(first)
    store.evaluations.adopt(back)
    assert store.evaluations.adoptions(project.id) == [back, first]
