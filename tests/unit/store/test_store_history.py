import itertools
import random
from dataclasses import replace

import pytest

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.judgements import (
    AllBad,
    Correction,
    Flag,
    Judgement,
    Ranking,
    Rating,
    Ratings,
    Span,
    Spans,
    Thumbs,
    revision,
)
from rlhf_desktop.store import history, listing
from rlhf_desktop.store.history import HistoryQuery

TOPICS = ("printer", "invoice", "délai", "παραγγελία", "طلب")


@pytest.fixture
def filled(store, project):
    """Ten judgements on five prompts by two people, some with more than one form."""
    made = []
    for n, topic in enumerate(TOPICS):
        system = {"role": "system", "content": "Answer kindly"}
        _, question = store.conversations.start(project.id, [system, {"role": "user", "content": f"Where is my {topic}?"}])
        ids = tuple(a.id for a in store.conversations.add_answers(question.id, [f"no idea {topic}", f"on its way #{n}"]))
        also = (Ratings((Rating("accuracy", 5, (n + 1 if n < 5 else 5, None)),)),) if n % 2 else ()
        made.append(Judgement(project.id, "Ada", ids, Ranking((2, 1)), seconds_spent=float(n), critique=f"curt{n}", also=also))
        made.append(Judgement(project.id, "Bo", ids, Thumbs(n % 2 == 0), created_at=f"2026-0{n + 1}-01T00:00:00.000+00:00"))
    store.judgements.add_all(made)
    return made


def pages(store, project, query, size=3):
    """Every page of a query, walked to its end."""
    after, found = None, []
    while True:
        rows, after = store.history.page(project.id, query, after, size)
        assert len(rows) <= size or query.standing
        found += [judgement for judgement, _ in rows]
        if after is None:
            return found


@pytest.mark.parametrize("sort", ["newest", "oldest", "slowest", "quickest", "who", "kind"])
def test_pages_walked_to_the_end_hold_everything_once_in_order(store, project, filled, sort):
    found = pages(store, project, HistoryQuery(sort=sort))
    assert sorted(j.id for j in found) == sorted(j.id for j in filled)
    key = {
        "newest": lambda j: j.created_at,
        "oldest": lambda j: j.created_at,
        "slowest": lambda j: j.seconds_spent or 0,
        "quickest": lambda j: j.seconds_spent or 0,
        "who": lambda j: j.who,
        "kind": lambda j: j.kind,
    }[sort]
    assert [key(j) for j in found] == sorted(map(key, filled), reverse=sort in ("newest", "slowest"))


@pytest.mark.parametrize(
    ("query", "count"),
    [
        (HistoryQuery(kinds=("ranking",)), 5),
        (HistoryQuery(kinds=("ratings",)), 2),
        (HistoryQuery(kinds=("ratings", "thumbs")), 7),
        (HistoryQuery(kinds=("ratings",), text="printer"), 0),
        (HistoryQuery(kinds=("ratings",), text="invoice"), 1),
        (HistoryQuery(who="Bo"), 5),
        (HistoryQuery(who="Bo", kinds=("ranking",)), 0),
        (HistoryQuery(since="2026-02-01", until="2026-04-01"), 2),
        (HistoryQuery(purpose="repeat"), 0),
        (HistoryQuery(tag="odd"), 0),
    ],
)
def test_filters_leave_what_was_asked_for(store, project, filled, query, count):
    assert len(pages(store, project, query)) == count
    assert store.history.count(project.id, query) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("printer", 2),
        ("PRINT", 2),
        ("where kindly idea", 10),
        ("curt3", 1),
        ("delai", 2),
        ("παραγγ", 2),
        ("طلب", 2),
        ("printer invoice", 0),
        ('"printer" OR NEAR(', 0),
        ("#4", 2),
        ("?!", 0),
        ("half \ud83d", 0),
    ],
)
def test_words_of_prompts_answers_and_reasons_are_found_as_they_are_typed(store, project, filled, text, count):
    assert len(pages(store, project, HistoryQuery(text=text))) == count
    assert len(pages(store, project, HistoryQuery(text=text, sort="slowest"))) == count


def test_what_was_written_in_a_judgement_is_found(store, project, filled):
    ids = filled[0].displayed
    spans = Spans((Span(0, 0, 2, "tone", note="supercilious"),))
    store.judgements.add(Judgement(project.id, "Ada", ids, AllBad(), also=(spans, Correction("Apologise first"))))
    store.judgements.add(Judgement(project.id, "Ada", ids, Flag("libellous")))
    for word in ("supercilious", "apologise", "libellous"):
        assert len(pages(store, project, HistoryQuery(text=word))) == 1, word


def test_another_projects_feedback_is_never_found(store, project, filled):
    second = store.projects.create("Second")
    assert pages(store, second, HistoryQuery(text="printer")) == []
    assert pages(store, second, HistoryQuery()) == []


def test_what_was_taken_back_is_shown_as_such_or_left_out(store, project, filled):
    store.judgements.withdraw(filled[0].id, "Ada")
    edit = store.judgements.add(revision(filled[2], "Ada", [Ranking((1, 2))]))
    rows, _ = store.history.page(project.id, HistoryQuery())
    assert {j.id for j, standing in rows if not standing} == {filled[0].id, filled[2].id}
    standing = pages(store, project, HistoryQuery(standing=True), 4)
    assert {j.id for j in standing} == {j.id for j in filled} - {filled[0].id, filled[2].id} | {edit.id}


def test_tags_are_given_to_many_at_once_and_found(store, project, filled):
    ids = [j.id for j in filled[:4]]
    assert store.tags.add(ids, " hard  case ") == 4
    assert store.tags.add(ids[:2], "hard case") == 0
    assert store.tags.add(ids[:1], "urgent") == 1
    assert store.tags.remove(ids[1:2], "hard case") == 1
    assert store.tags.of(filled_ids := [j.id for j in filled]) == {
        ids[0]: ("hard case", "urgent"), ids[2]: ("hard case",), ids[3]: ("hard case",)
    }  # fmt: skip
    assert store.tags.counts(project.id) == {"hard case": 3, "urgent": 1}
    assert {j.id for j in pages(store, project, HistoryQuery(tag="hard case"))} == {ids[0], ids[2], ids[3]}
    assert store.tags.remove(filled_ids, "never given") == 0
    with pytest.raises(BadInput):
        store.tags.add(ids, "  ")


def test_a_count_stops_where_told(store, project, filled):
    assert store.history.count(project.id, HistoryQuery(), at_most=4) == 4
    assert store.judgements.size(project.id) == 10


@pytest.fixture
def varied(store, project):
    """Sixty judgements of every form and purpose, with many ties of time and length."""
    chance, made = random.Random(3), []
    for n in range(6):
        _, question = store.conversations.start(project.id, [{"role": "user", "content": f"Where is my {TOPICS[n % 5]}?"}])
        ids = tuple(a.id for a in store.conversations.add_answers(question.id, [f"no idea {n}", f"on its way {n}"]))
        for _ in range(10):
            form = chance.choice([Ranking((1, 2)), Thumbs(True), AllBad(), Flag("odd")])
            also = (Ratings((Rating("accuracy", 5, (1, None)),)),) if isinstance(form, Ranking) and chance.random() < 0.5 else ()
            made.append(
                Judgement(
                    project.id, chance.choice(("Ada", "Bo", "Cy")), ids, form, chance.choice((None, 1.0, 2.0)), also=also,
                    purpose=chance.choice(("label", "label", "repeat", "adjudication")),
                    created_at=f"2026-0{chance.randint(1, 4)}-01T00:00:00.000+00:00",
                )
            )  # fmt: skip
    store.judgements.add_all(made)
    store.tags.add([j.id for j in made[::3]], "hard")
    store.judgements.withdraw(made[0].id, "Ada")
    return made


@pytest.mark.parametrize("few", [0, 1000])
@pytest.mark.parametrize("sort", ["newest", "oldest", "slowest", "quickest", "who", "kind"])
def test_every_two_filters_in_every_order_find_what_a_loop_finds_however_small_the_windows(
    store, project, varied, monkeypatch, sort, few
):
    monkeypatch.setattr(listing, "_WINDOW", 7)
    monkeypatch.setattr(listing, "_WINDOW_JOINED", 5)
    monkeypatch.setattr(listing, "_FEW", few)
    tagged = {j.id for j in varied[::3]}
    printer = set(varied[0].displayed) | set(varied[50].displayed)
    filters = {
        "kinds": (
            (("ratings",), lambda j: "ratings" in j.kinds),
            (("thumbs", "ratings"), lambda j: {"thumbs", "ratings"} & {*j.kinds}),
        ),
        "who": (("Bo", lambda j: j.who == "Bo"),),
        "tag": (("hard", lambda j: j.id in tagged),),
        "text": (("printer", lambda j: j.displayed[0] in printer),),
        "since": (("2026-02-15", lambda j: j.created_at >= "2026-02-15"),),
        "until": (("2026-02-15", lambda j: j.created_at < "2026-02-15"),),
        "purpose": (("repeat", lambda j: j.purpose == "repeat"), ("label", lambda j: j.purpose == "label")),
    }  # fmt: skip
    plain = [(name, value, test) for name, options in filters.items() for value, test in options]
    for one, other in itertools.product(plain, plain):
        query = replace(HistoryQuery(sort=sort), **{name: value for name, value, _ in (one, other)})
        tests = {name: test for name, _, test in (one, other)}
        wanted = sorted(j.id for j in varied if all(test(j) for test in tests.values()))
        found = pages(store, project, query, 4)
        assert sorted(j.id for j in found) == wanted, query
        assert store.history.count(project.id, query) == len(wanted)
        in_order = [_order(sort)(j) for j in found]
        assert query.text or in_order == sorted(in_order, reverse=sort in ("newest", "slowest")), query


def _order(sort):
    return {
        "newest": lambda j: j.created_at,
        "oldest": lambda j: j.created_at,
        "slowest": lambda j: j.seconds_spent or 0,
        "quickest": lambda j: j.seconds_spent or 0,
        "who": lambda j: (j.who, j.created_at),
        "kind": lambda j: (j.kind, j.created_at),
    }[sort]


def test_a_rare_form_costs_short_reads_with_a_place_to_go_on(store, project, varied, monkeypatch):
    monkeypatch.setattr(listing, "_WINDOW", 5)
    query = HistoryQuery(who="nobody", sort="slowest")
    rows, after = store.history.page(project.id, query)
    assert rows == []
    assert after is not None


def test_an_unfinished_word_finds_all_that_begin_so_be_they_few_or_many(store, project, filled, monkeypatch):
    found = pages(store, project, HistoryQuery(text="kindly cur"))
    assert len(found) == 5
    monkeypatch.setattr(history, "_BEGUN", 1)
    assert pages(store, project, HistoryQuery(text="kindly cur")) == found


def test_a_tag_is_counted_up_to_a_number(store, project, filled):
    store.tags.add([j.id for j in filled], "b")
    store.tags.add([filled[0].id], "a")
    store.tags.add([filled[0].id], "gone")
    store.tags.remove([filled[0].id], "gone")
    assert store.tags.counts(project.id, at_most=4) == {"a": 1, "b": 4}
    assert store.tags.counts(store.projects.create("Second").id) == {}
