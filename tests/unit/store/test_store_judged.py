"""Judgements come with their prompts and texts, all or the newest."""

from store_helpers import ranked


def test_judged_has_prompts_texts_as_displayed_and_the_split(store, project, answers):
    store.judgements.add(ranked(project, answers[::-1], 1, 2, 2))
    (item,) = store.judged(project.id)
    assert item.prompt == [{"role": "user", "content": "My printer broke"}]
    assert item.completions == ("c", "b", "a")
    assert item.split == store.projects.splitter(project.id)(item.prompt)


def test_a_sample_holds_the_newest_of_each_form_with_its_texts(store, project, judged):
    assert store.sample(project.id, 1000) == judged
    some = store.sample(project.id, 3)
    assert len(some) < len(judged)
    assert all(item in judged for item in some)
    assert some == [item for item in judged if item in some]  # oldest first
