"""What is in effect is what one finds by reading every event."""

from collections import Counter
from dataclasses import replace

from store_helpers import ranked, user

from rlhf_desktop.feedback.judgements import AllBad, Judgement, Ranking, Thumbs, revision
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.erasing import bury
from rlhf_desktop.store.standing import _FEEDBACK_BETWEEN


def test_judgements_in_effect_are_counted_by_form_person_and_ranking(store, project, judged):
    events = [item.judgement for item in judged]
    assert store.standing.counts(project.id) == Counter(event.kind for event in events)
    assert store.standing.by_person(project.id) == Counter(event.who for event in events)
    ranked = Counter(v.ranks for event in events for v in event.verdicts if isinstance(v, Ranking))
    assert store.standing.rankings(project.id) == ranked
    assert store.judgements.newest(project.id, 10_000) == events
    assert store.judgements.newest(project.id, 20) == events[-len(store.judgements.newest(project.id, 20)) :]


def test_feedback_of_a_span_counts_what_teaches_without_fetching_the_rest(store, project, answers):
    made = [
        store.judgements.add(replace(ranked(project, answers[:2], *ranks), source=source))
        for ranks in ((1, 2), (2, 1))
        for source in ("", "evaluation:x", "file.jsonl")
    ]
    store.judgements.withdraw(made[0].id, "me")
    store.judgements.withdraw(made[1].id, "me")
    assert store.standing.feedback_between(project.id, "", "9999") == 3  # neither what was taken back nor of a comparison
    assert store.standing.feedback_between(project.id, "9998", "9999") == 0
    values = {"project": project.id, "since": "", "until": "9999", "gone": "[]"}
    plan = [row["detail"] for row in store.connection.rows(f"EXPLAIN QUERY PLAN {_FEEDBACK_BETWEEN}", values)]
    assert not [step for step in plan if "judgements_by_time" in step and "COVERING" not in step]


def test_what_is_known_of_taken_back_judgements_follows_another_windows_changes(store, project):
    _, leaf = store.conversations.start(project.id, user("Why?"))
    answers = tuple(node.id for node in store.conversations.add_answers(leaf.id, ["a", "b"]))
    first = store.judgements.add(Judgement(project.id, "Ada", answers, Ranking((1, 2))))
    assert store.standing.counts(project.id) == {"ranking": 1}
    with Store.open(store.path) as other:
        taken = other.judgements.withdraw(first.id, "Ada")
        assert store.standing.counts(project.id) == {}
        assert store.questions.counts(project.id).judged == 0
        other.judgements.withdraw(taken.id, "Ada")
        assert store.standing.counts(project.id) == {"ranking": 1}
        bury(other, [taken.id])  # and with it what took it back
        other.judgements.withdraw(first.id, "Ada")
        assert store.standing.counts(project.id) == {}
    assert store.questions.counts(project.id).judged == 0


def test_counts_follow_edits_and_undos_of_undos(store, project, answers):
    first = store.judgements.add(ranked(project, answers, 1, 2, 3))
    edit = store.judgements.add(revision(first, "me", [AllBad()]))
    store.judgements.add(Judgement(project.id, "me", (answers[0].id,), Thumbs(True)))
    assert store.standing.counts(project.id) == {"all_bad": 1, "thumbs": 1}
    undo = store.judgements.withdraw(edit.id, "me")
    assert store.standing.counts(project.id) == {"ranking": 1, "thumbs": 1}
    store.judgements.withdraw(undo.id, "me")
    assert store.standing.counts(project.id) == {"all_bad": 1, "thumbs": 1}
