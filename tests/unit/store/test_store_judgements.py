import pytest
from store_helpers import ranked, user

from rlhf_desktop.core.errors import BadInput, NotFound, StoreTrouble
from rlhf_desktop.feedback.judgements import (
    AllBad,
    Correction,
    Demonstrated,
    Flag,
    Judgement,
    Ranking,
    Rating,
    Ratings,
    Skip,
    Span,
    Spans,
    Thumbs,
    revision,
)
from rlhf_desktop.store.database import Store


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
    assert store.standing.counts(project.id) == {}
    store.judgements.withdraw(undo.id, "me")
    assert store.standing.counts(project.id) == {"ranking": 1}
    assert len(store.judgements.all(project.id)) == 3


def test_the_size_counts_what_was_judged_and_not_what_took_it_back(store, project, answers):
    assert (store.judgements.size(project.id), store.judgements.any(project.id)) == (0, False)
    given = store.judgements.add(ranked(project, answers, 1, 2, 3))
    store.judgements.add(ranked(project, answers, 3, 2, 1))
    undo = store.judgements.withdraw(given.id, "me")
    store.judgements.withdraw(undo.id, "me")
    assert len(store.judgements.all(project.id)) == 4
    assert store.judgements.size(project.id) == 2
    other = store.projects.create("Other")
    assert (store.judgements.size(other.id), store.judgements.any(other.id)) == (0, False)


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
        with pytest.raises(BadInput) as caught:
            store.judgements.add(given)
        assert said in caught.value.message
        assert said not in caught.value.hint
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


def test_what_was_said_beside_the_main_form_is_kept(store, project, answers):
    also = (Ratings((Rating("tone", 5, (1, None, 3)),)), Spans((Span(0, 0, 1, "rude", 2, "why"),)), Correction("better", 1))
    given = ranked(project, answers, 1, 2, 3, also=also, purpose="adjudication")
    store.judgements.add(given)
    assert store.judgements.get(given.id) == given


def test_marks_outside_the_answer_are_refused(store, project, answers):
    given = Judgement(project.id, "me", (answers[0].id,), Spans((Span(0, 0, 2, "rude"),)))
    with pytest.raises(BadInput) as caught:
        store.judgements.add(given)
    assert (caught.value.message, caught.value.hint) == ("A marked part lies outside its answer.", "Mark it again.")


def test_undo_and_redo_go_on_in_the_next_session_and_are_each_persons_own(store, project, answers, tmp_path):
    mine = [store.judgements.add(ranked(project, answers, *ranks)) for ranks in ((1, 2, 3), (3, 2, 1))]
    theirs = store.judgements.add(Judgement(project.id, "you", (answers[0].id,), Thumbs(True)))
    assert store.judgements.undo(project.id, "me") == mine[1]
    with Store.open(tmp_path / "feedback.db") as later:
        assert later.judgements.undo(project.id, "me") == mine[0]
        assert later.judgements.undo(project.id, "me") is None
        assert later.judgements.effective(project.id) == [theirs]
        assert later.judgements.redo(project.id, "me") == mine[0]
        assert later.judgements.redo(project.id, "me") == mine[1]
        assert later.judgements.redo(project.id, "me") is None
    assert store.judgements.effective(project.id) == [*mine, theirs]
    assert store.judgements.undoable(project.id, "you") == theirs


def test_all_versions_of_one_act_can_be_compared(store, project, answers):
    first = store.judgements.add(ranked(project, answers, 1, 2, 3))
    store.judgements.add(ranked(project, answers, 1, 1, 1))
    second = store.judgements.add(revision(first, "you", [AllBad()]))
    undo = store.judgements.withdraw(second.id, "me")
    for one in (first, second, undo):
        assert store.judgements.versions(one.id) == [first, second, undo]
    with pytest.raises(NotFound):
        store.judgements.versions("nothing")


def test_an_answer_written_from_scratch_is_kept_with_its_judgement_or_not_at_all(store, project, answers):
    parent = answers[0].parent_id
    made = store.demonstrate(project.id, parent, "Unplug it first.", "Ada", seconds_spent=40.0)
    assert (made.verdict, made.seconds_spent) == (Demonstrated(), 40.0)
    assert store.conversations.message(made.displayed[0]).content == "Unplug it first."
    with pytest.raises(BadInput):
        store.demonstrate(store.projects.create("Other").id, parent, "x", "Ada")
    with pytest.raises(BadInput):
        store.demonstrate(project.id, parent, "  ", "Ada")
    assert len(store.conversations.tree(answers[0].conversation_id).children(parent)) == 4


def test_people_are_named_once_in_order(store, project, answers):
    assert store.judgements.people(project.id) == []
    for who in ("Zoe", "Amina", "Zoe", "Jonas", "Amina"):
        store.judgements.add(Judgement(project.id, who, (answers[0].id,), Thumbs(True)))
    assert store.judgements.people(project.id) == ["Amina", "Jonas", "Zoe"]
    assert store.judgements.people("another") == []


def test_what_came_back_is_found_with_what_was_said_before(store, project, answers):
    _, other = store.conversations.start(project.id, [{"role": "user", "content": "Another"}])
    elsewhere = store.conversations.add_answers(other.id, ["x", "y", "z"])
    first = store.judgements.add(ranked(project, answers, 1, 2, 3))
    store.judgements.add(ranked(project, elsewhere, 1, 2, 3))  # never came back
    wrong = store.judgements.add(ranked(project, answers, 3, 2, 1, purpose="repeat"))
    again = store.judgements.add(ranked(project, answers, 1, 3, 2, purpose="repeat", supersedes=wrong.id))
    assert [j.id for j in store.judgements.came_back(project.id)] == [first.id, again.id]
    store.judgements.withdraw(again.id, "me")
    assert again.id not in [j.id for j in store.judgements.came_back(project.id)]


def test_items_that_came_back_bring_what_was_said_of_the_same_answers(store, project):
    made = []
    for n in range(3):
        _, leaf = store.conversations.start(project.id, user(f"Why {n}?"))
        answers = tuple(node.id for node in store.conversations.add_answers(leaf.id, ["a", "b"]))
        made.append(store.judgements.add(Judgement(project.id, "Ada", answers, Ranking((1, 2)))))
        store.judgements.add(Judgement(project.id, "Bo", answers, Ranking((1, 2))))
    again = [
        store.judgements.add(
            Judgement(project.id, "Ada", one.displayed[::-1], Ranking((2, 1)), purpose="repeat", created_at=f"2026-01-0{n + 1}")
        )
        for n, one in enumerate(made[:2])
    ]
    assert store.judgements.came_back(project.id, "Ada", 10) == [made[0], made[1], *again]
    assert store.judgements.came_back(project.id, "Ada", 1) == [made[1], again[1]]
    assert {event.who for event in store.judgements.came_back(project.id, "", 10)} == {"Ada", "Bo"}
    assert store.judgements.came_back(project.id, "Bo", 10) == []
    store.judgements.withdraw(made[1].id, "Ada")
    assert store.judgements.came_back(project.id, "Ada", 10) == [made[0], *again]


# --- reading some of them -----------------------------------------------------------------------------------------------------


@pytest.fixture
def many(store, project, answers):
    """Six events: four thumbs in turn by two people, a withdrawal of the second, an example of a third person."""
    given = [
        store.judgements.add(Judgement(project.id, who, (answers[n % 3].id,), Thumbs(True)))
        for n, who in enumerate(("Ada", "Bo", "Ada", "Bo"))
    ]
    store.judgements.withdraw(given[1].id, "Bo")
    given.append(store.demonstrate(project.id, answers[0].parent_id, "Unplug it first.", "Cy"))
    return given


def test_places_in_the_table_are_those_of_the_order_they_came_in(store, project, many):
    rows = {row["id"]: row["rowid"] for row in store.connection.rows("SELECT rowid, id FROM judgements")}
    assert store.judgements.last_row() == max(rows.values()) == rows[many[4].id]
    assert store.judgements.first_row([many[3].id, many[1].id, many[2].id]) == rows[many[1].id]
    assert store.judgements.first_row(["nothing"]) == 0
    places = [rows[many[n].id] for n in (3, 0, 2)]
    assert store.judgements.by_rows([*places, 10_000]) == [many[3], many[0], many[2]]
    assert store.judgements.by_ids([many[2].id, "nothing", many[0].id]) == [many[0], many[2]]


def test_an_empty_store_has_no_last_row(store, project):
    assert (store.judgements.last_row(), store.judgements.people(project.id), store.judgements.newest(project.id, 5)) == (0, [], [])


def test_the_newest_are_those_added_last_and_of_these_the_ones_in_effect(store, project, many):
    assert store.judgements.newest(project.id, 2) == many[3:]
    assert store.judgements.newest(project.id, 4) == many[2:]  # the second of the five counts, but was taken back
    assert store.judgements.newest(project.id, 5) == [many[0], *many[2:]]
    assert store.judgements.newest(store.projects.create("Other").id, 5) == []


def test_the_recent_ones_are_one_persons(store, project, many):
    assert store.judgements.recent(project.id, "Ada", 9) == [many[0], many[2]]
    assert store.judgements.recent(project.id, "Ada", 1) == [many[2]]
    assert store.judgements.recent(project.id, "Bo", 2) == [many[3]]
    assert store.judgements.recent(store.projects.create("Other").id, "Ada", 9) == []


def test_those_of_a_conversation_are_of_its_messages_alone(store, project, many, answers):
    _, other = store.conversations.start(project.id, user("Another"))
    (elsewhere,) = store.conversations.add_answers(other.id, ["x"])
    given = store.judgements.add(Judgement(project.id, "Ada", (elsewhere.id,), Thumbs(False)))
    assert store.judgements.for_conversation(other.conversation_id) == [given]
    assert store.judgements.for_conversation(answers[0].conversation_id) == [many[0], *many[2:]]


def test_later_brings_what_replaced_or_took_back(store, project, many):
    assert [j.id for j in store.judgements.later([many[0].id])] == [many[0].id]
    assert [j.kind for j in store.judgements.later([many[1].id])] == ["thumbs", "withdrawn"]


def test_the_characters_shown_are_those_of_all_answers(store, project, answers):
    _, other = store.conversations.start(project.id, user("Another"))
    shown = store.conversations.add_answers(other.id, ["four", "sixsix"])
    two = store.judgements.add(ranked(project, shown, 1, 2))
    one = store.judgements.add(Judgement(project.id, "me", (shown[0].id,), Thumbs(True)))
    store.judgements.add(ranked(project, answers, 1, 2, 3))
    assert store.judgements.shown_chars([two.id, one.id]) == {two.id: 10, one.id: 4}


def in_label(store, project, text):
    _, leaf = store.conversations.start(project.id, user(text), origin="label")
    return store.conversations.add_answers(leaf.id, ["a", "b"])


def test_of_colleagues_come_the_newest_in_label_that_one_has_not_judged(store, project, answers):
    asked = [in_label(store, project, f"Why {n}?") for n in range(4)]

    def label(who, n, verdict=None, **more):
        shown = tuple(node.id for node in asked[n])
        return store.judgements.add(Judgement(project.id, who, shown, verdict or Ranking((1, 2)), purpose="label", **more))

    first, second, third = (label("Bo", n) for n in range(3))
    store.judgements.add(Judgement(project.id, "Bo", (answers[0].id,), Thumbs(True), purpose="label"))  # given in Chat
    label("Bo", 3, Skip("tired"))
    mine = label("Ada", 2)
    assert store.judgements.of_colleagues(project.id, "Ada", 9) == [first, second]
    assert store.judgements.of_colleagues(project.id, "Ada", 3) == [second]  # what one has judged counts, the skip does not
    assert [j.who for j in store.judgements.of_colleagues(project.id, "Bo", 9)] == []  # Ada's is on what Bo has judged
    assert store.judgements.of_colleagues(project.id, "Cy", 9) == [mine, first, second, third]
    store.judgements.withdraw(second.id, "Bo")
    assert store.judgements.of_colleagues(project.id, "Ada", 9) == [first]


def test_a_mark_may_end_where_the_answer_ends(store, project, answers):
    given = store.judgements.add(Judgement(project.id, "me", (answers[0].id,), Spans((Span(0, 0, 1, "rude"),))))
    assert store.judgements.all(project.id) == [given]
