"""What the database counts is what one counts by reading everything."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from rlhf_desktop.feedback.judgements import Correction, Judgement, Ranking, Skip, Thumbs, revision
from rlhf_desktop.feedback.split import prompt_hash
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.erasing import bury


def user(text, *before):
    return [*before, {"role": "user", "content": text}]


EARLIER = ({"role": "user", "content": "Question 3"}, {"role": "assistant", "content": "Well."})
VERDICTS = (Ranking((1, 2)), Ranking((2, 1)), Ranking((1, 1)), Thumbs(True), Skip("odd"))


def lived(store: Store, project, seed: int) -> None:
    """Some weeks: prompts in sets, judgements, revisions, withdrawals, second thoughts, an erase."""
    chance = random.Random(seed)
    texts = [f"Question {n}" for n in range(40)]
    for name, some in (("one", texts[:25]), ("two", texts[20:35])):
        tags = [("hard", "long") if chance.random() < 0.3 else () for _ in some]
        store.prompts.create_set(project.id, name, [user(text) for text in some], tags=tags)
    store.projects.fix_split(project.id, [user("Question 1"), user("Question 2")], "heldout")
    store.projects.fix_split(project.id, [user("Question 5")], "train")
    made: list[Judgement] = []
    for _ in range(60):
        text = chance.choice([*texts, "QUESTION  7"])
        prompt = user("And then?", *EARLIER) if chance.random() < 0.1 else user(text)
        _, leaf = store.conversations.start(project.id, prompt)
        answers = tuple(node.id for node in store.conversations.add_answers(leaf.id, ["good", "bad"]))
        for who in chance.sample(("Ada", "Bo", "Cy"), chance.randint(1, 2)):
            verdict = chance.choice(VERDICTS)
            also = (Correction("better"),) if isinstance(verdict, Ranking) and chance.random() < 0.3 else ()
            made.append(store.judgements.add(Judgement(project.id, who, answers, verdict, also=also)))
    for event in chance.sample(made, 25):
        if chance.random() < 0.5:
            taken = store.judgements.withdraw(event.id, event.who)
            if chance.random() < 0.3:
                store.judgements.withdraw(taken.id, event.who)
        else:
            store.judgements.add(revision(event, "Di", [Ranking((1, 2))]))
    bury(store, [chance.choice(made).id, chance.choice(made).displayed[0]])


@pytest.fixture(params=range(6))
def judged(request, store, project):
    lived(store, project, request.param)
    return store.judged(project.id)


def test_prompts_and_their_half_are_counted(store, project, judged):
    prompts = {tuple((m["role"], m["content"]) for m in item.prompt): item.split for item in judged}
    found = store.questions.counts(project.id)
    assert (found.judged, found.heldout) == (len(prompts), sum(split == "heldout" for split in prompts.values()))


def test_what_waits_is_what_nobody_judged(store, project, judged):
    done = {prompt_hash(item.prompt) for item in judged}
    every = store.prompts.prompts(project.id)
    waiting = [prompt.id for prompt in every if prompt_hash(prompt.prompt) not in done]
    found = store.questions.unjudged(project.id, 5)
    assert (found.first, found.waiting, found.total) == (waiting[:5], len(waiting), len(every))
    assert store.prompts.by_ids(project.id, waiting[:3]) == [prompt for prompt in every if prompt.id in waiting[:3]]
    assert store.prompts.sizes(project.id) == {"one": 25, "two": 15}
    hashes = {prompt_hash(prompt.prompt) for prompt in every}
    assert store.questions.judged_among(project.id, hashes) == hashes & done


def test_held_out_prompts_are_those_of_the_split_each_once(store, project, judged):
    sets = [(prompt_hash(p.prompt), p.prompt) for p in store.prompts.prompts(project.id) if p.split == "heldout"]
    others = [(prompt_hash(item.prompt), item.prompt) for item in judged if item.split == "heldout"]
    first = list(dict(reversed(sets)).items())[::-1]
    found = list(store.questions.heldout(project.id))
    assert found[: len(first)] == [dict(reversed(sets))[hashed] for hashed in dict.fromkeys(hashed for hashed, _ in sets)]
    assert {prompt_hash(prompt) for prompt in found} == {hashed for hashed, _ in (*sets, *others)}
    assert store.questions.heldout_count(project.id) == len(found) == len({prompt_hash(prompt) for prompt in found})
    known = {prompt_hash(found[0])}
    assert list(store.questions.heldout(project.id, known, 3)) == found[1:4]
    assert store.questions.heldout_count(project.id, known) == len(found) - 1


def test_prompts_to_practise_on_are_those_of_the_other_half(store, project, judged):
    stored = {prompt_hash(p.prompt) for p in store.prompts.prompts(project.id) if p.split == "train"}
    assert store.questions.training_prompts(project.id) == len(
        stored | {prompt_hash(item.prompt) for item in judged if item.split == "train"}
    )


def test_coverage_is_by_tag(store, project, judged):
    done = {prompt_hash(item.prompt) for item in judged}
    last = {prompt_hash(p.prompt): p.tags for p in store.prompts.prompts(project.id)}  # of equal prompts the one added last
    total, covered = Counter(), Counter()
    for hashed, tags in last.items():
        for tag in tags or ("",):
            total[tag] += 1
            covered[tag] += hashed in done
    assert store.questions.coverage(project.id) == {tag: (covered[tag], total[tag]) for tag in total}


def test_judgements_in_effect_are_counted_by_form_person_and_ranking(store, project, judged):
    events = [item.judgement for item in judged]
    assert store.judgements.counts(project.id) == Counter(event.kind for event in events)
    assert store.judgements.by_person(project.id) == Counter(event.who for event in events)
    ranked = Counter(v.ranks for event in events for v in event.verdicts if isinstance(v, Ranking))
    assert store.judgements.rankings(project.id) == ranked
    assert store.judgements.newest(project.id, 10_000) == events
    assert store.judgements.newest(project.id, 20) == events[-len(store.judgements.newest(project.id, 20)) :]


def test_what_is_known_of_taken_back_judgements_follows_another_windows_changes(store, project):
    _, leaf = store.conversations.start(project.id, user("Why?"))
    answers = tuple(node.id for node in store.conversations.add_answers(leaf.id, ["a", "b"]))
    first = store.judgements.add(Judgement(project.id, "Ada", answers, Ranking((1, 2))))
    assert store.judgements.counts(project.id) == {"ranking": 1}
    with Store.open(store.path) as other:
        taken = other.judgements.withdraw(first.id, "Ada")
        assert store.judgements.counts(project.id) == {}
        assert store.questions.counts(project.id).judged == 0
        other.judgements.withdraw(taken.id, "Ada")
        assert store.judgements.counts(project.id) == {"ranking": 1}
        bury(other, [taken.id])  # and with it what took it back
        other.judgements.withdraw(first.id, "Ada")
        assert store.judgements.counts(project.id) == {}
    assert store.questions.counts(project.id).judged == 0


def test_a_merge_in_any_order_fills_the_table(store, project):
    """An event may come before what it replaces."""
    _, leaf = store.conversations.start(project.id, user("Why?"))
    answers = tuple(node.id for node in store.conversations.add_answers(leaf.id, ["a", "b"]))
    first = Judgement(project.id, "Ada", answers, Ranking((1, 2)))
    second = replace(revision(first, "Ada", [Ranking((2, 1))]), created_at=first.created_at)
    with store.connection.transaction():
        store.judgements.add_all([second], to_come={first.id})
        store.judgements.add_all([first])
    assert store.judgements.counts(project.id) == {"ranking": 1}
    (row,) = store.connection.rows("SELECT prompt_hash, judgements FROM judged_questions")
    assert row == {"prompt_hash": prompt_hash(user("Why?")), "judgements": 2}
    bury(store, [first.id])
    assert store.connection.rows("SELECT * FROM judged_questions") == []


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


def test_a_sample_holds_the_newest_of_each_form_with_its_texts(store, project, judged):
    split = store.projects.splitter(project.id)
    assert store.judgements.sample(project.id, split, 1000) == judged
    some = store.judgements.sample(project.id, split, 3)
    assert len(some) < len(judged)
    assert all(item in judged for item in some)
    assert some == [item for item in judged if item in some]  # oldest first
