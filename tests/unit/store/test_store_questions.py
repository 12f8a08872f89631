"""What the database counts is what one counts by reading everything."""

from collections import Counter
from dataclasses import replace

from store_helpers import user

from rlhf_desktop.feedback.judgements import Judgement, Ranking, revision
from rlhf_desktop.feedback.split import prompt_hash
from rlhf_desktop.store.erasing import bury


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


def test_a_merge_in_any_order_fills_the_table(store, project):
    """An event may come before what it replaces."""
    _, leaf = store.conversations.start(project.id, user("Why?"))
    answers = tuple(node.id for node in store.conversations.add_answers(leaf.id, ["a", "b"]))
    first = Judgement(project.id, "Ada", answers, Ranking((1, 2)))
    second = replace(revision(first, "Ada", [Ranking((2, 1))]), created_at=first.created_at)
    with store.connection.transaction():
        store.judgements.add_all([second], to_come={first.id})
        store.judgements.add_all([first])
    assert store.standing.counts(project.id) == {"ranking": 1}
    (row,) = store.connection.rows("SELECT prompt_hash, judgements FROM judged_questions")
    assert row == {"prompt_hash": prompt_hash(user("Why?")), "judgements": 2}
    bury(store, [first.id])
    assert store.connection.rows("SELECT * FROM judged_questions") == []
