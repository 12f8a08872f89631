import pytest

from rlhf_desktop.core.errors import BadInput, NotFound, StoreTrouble
from rlhf_desktop.feedback.judgements import AllBad, Correction, Flag, Judgement, Ranking, Skip, Thumbs


@pytest.fixture
def answers(store, project):
    _, question = store.conversations.start(project.id, [{"role": "user", "content": "My printer broke"}])
    return store.conversations.add_answers(question.id, ["a", "b", "c"])


def ranked(project, answers, *ranks: int, **fields) -> Judgement:
    return Judgement(project.id, "me", tuple(a.id for a in answers), Ranking(ranks), **fields)


def test_a_judgement_is_kept_as_it_was_given(store, project, answers):
    given = ranked(
        project, answers[::-1], 1, 2, 2, seconds_spent=4.5, guideline_version=3, critique="c talks down", confidence=0.7, source="s"
    )
    store.judgements.add(given)
    assert store.judgements.get(given.id) == given
    assert store.judgements.effective(project.id) == [given]


@pytest.mark.parametrize("verdict", [AllBad(), Correction("better", 2), Skip("tired"), Flag("rude")])
def test_every_form_is_kept(store, project, answers, verdict):
    given = Judgement(project.id, "me", tuple(a.id for a in answers), verdict)
    store.judgements.add(given)
    assert store.judgements.all(project.id) == [given]


def test_undo_and_redo_add_events(store, project, answers):
    given = store.judgements.add(ranked(project, answers, 1, 2, 3))
    undo = store.judgements.withdraw(given.id, "me")
    assert store.judgements.effective(project.id) == []
    assert store.judgements.counts(project.id) == {}
    store.judgements.withdraw(undo.id, "me")
    assert store.judgements.counts(project.id) == {"ranking": 1}
    assert len(store.judgements.all(project.id)) == 3


def test_an_edit_replaces(store, project, answers):
    old = store.judgements.add(ranked(project, answers, 1, 2, 3))
    new = store.judgements.add(ranked(project, answers, 3, 2, 1, supersedes=old.id))
    assert store.judgements.effective(project.id) == [new]
    assert store.judgements.for_conversation(answers[0].conversation_id) == [new]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE judgements SET critique = 'x'",
        "DELETE FROM judgements",
        "INSERT OR REPLACE INTO judgements SELECT * FROM judgements",
        "UPDATE judged_completions SET position = position + 10",
        "DELETE FROM judged_completions",
    ],
)
def test_the_database_itself_refuses_to_change_the_past(store, project, answers, sql):
    given = store.judgements.add(ranked(project, answers, 1, 2, 3))
    with pytest.raises(StoreTrouble) as caught:
        store.connection.execute(sql)
    assert "append-only" in caught.value.detail
    assert store.judgements.all(project.id) == [given]


def test_only_what_has_a_tombstone_may_go_and_it_never_comes_back(store, project, answers):
    given = store.judgements.add(ranked(project, answers, 1, 2, 3))
    with store.connection.transaction():
        store.connection.insert("tombstones", [{"id": given.id, "erased_at": "2026-01-01"}])
        store.connection.execute("DELETE FROM judgements WHERE id = ?", (given.id,))
        store.connection.execute("DELETE FROM judged_completions WHERE judgement_id = ?", (given.id,))
    with pytest.raises(StoreTrouble) as caught:
        store.judgements.add(given)
    assert "erased" in caught.value.detail
    assert store.judgements.all(project.id) == []
    assert store.connection.rows("SELECT * FROM judged_completions") == []
    with pytest.raises(StoreTrouble):
        store.connection.execute("DELETE FROM tombstones")


def test_answers_must_be_saved_alternatives_of_the_project(store, project, answers):
    _, other = store.conversations.start(project.id, [{"role": "user", "content": "x"}])
    (elsewhere,) = store.conversations.add_answers(other.id, ["z"])
    second = store.projects.create("Second")
    cases = [
        (ranked(project, [answers[0], elsewhere], 1, 2), "same message"),
        (Judgement(project.id, "me", ("nothing",), Thumbs(True)), "not saved"),
        (Judgement(project.id, "me", (other.id,), Thumbs(True)), "not saved"),  # a question is no answer
        (ranked(second, answers, 1, 2, 3), "another project"),
    ]
    for given, said in cases:
        with pytest.raises(BadInput, match=said):
            store.judgements.add(given)
    with pytest.raises(NotFound):
        store.judgements.add(ranked(project, answers, 1, 2, 3, supersedes="nothing"))
    assert store.judgements.all(project.id) == []


def test_many_are_added_all_or_none(store, project, answers):
    good, bad = ranked(project, answers, 1, 2, 3), Judgement(project.id, "me", ("nothing",), Thumbs(True))
    with pytest.raises(BadInput):
        store.judgements.add_all([good, bad])
    assert store.judgements.all(project.id) == []


def test_events_that_supersede_each_other_may_arrive_together_in_any_order(store, project, answers):
    old = ranked(project, answers, 1, 2, 3)
    new = ranked(project, answers, 2, 1, 3, supersedes=old.id)
    store.judgements.add_all([new, old])
    assert store.judgements.effective(project.id) == [new]


def test_judged_has_prompts_texts_as_displayed_and_the_split(store, project, answers):
    store.judgements.add(ranked(project, answers[::-1], 1, 2, 2))
    (item,) = store.judged(project.id)
    assert item.prompt == [{"role": "user", "content": "My printer broke"}]
    assert item.completions == ("c", "b", "a")
    assert item.split == store.projects.splitter(project.id)(item.prompt)
