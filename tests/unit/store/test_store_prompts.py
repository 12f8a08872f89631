import pytest

from rlhf_desktop.core.errors import BadInput, NotFound


def user(*texts: str) -> list:
    return [[{"role": "user", "content": text}] for text in texts]


def test_prompts_keep_their_order_and_half(store, project):
    store.prompts.create_set(project.id, "practice", user("b", "a"), split="train")
    store.prompts.create_set(project.id, "exam", user("d", "c"), split="heldout")
    assert [s.name for s in store.prompts.sets(project.id)] == ["practice", "exam"]
    assert [(p.prompt[0]["content"], p.split) for p in store.prompts.prompts(project.id)] == [
        ("b", "train"),
        ("a", "train"),
        ("d", "heldout"),
        ("c", "heldout"),
    ]
    assert [p.prompt for p in store.prompts.prompts(project.id, "exam")] == user("d", "c")


def test_without_a_fixed_half_the_hash_decides(store, project):
    prompts = user(*(f"question {i}" for i in range(200)))
    store.prompts.create_set(project.id, "mine", prompts)
    split = store.projects.splitter(project.id)
    stored = store.prompts.prompts(project.id)
    assert [p.split for p in stored] == [split(prompt) for prompt in prompts]
    assert {p.split for p in stored} == {"train", "heldout"}


def test_an_empty_set_a_taken_name_and_a_prompt_of_the_other_half_are_refused_whole(store, project):
    store.prompts.create_set(project.id, "exam", user("a"), split="heldout")
    for name, prompts, said in [("none", [], "empty"), ("exam", user("x"), "already"), ("practice", user("n", "A"), "other side")]:
        with pytest.raises(BadInput, match=said):
            store.prompts.create_set(project.id, name, prompts, split="train")
    assert [s.name for s in store.prompts.sets(project.id)] == ["exam"]
    assert len(store.projects.splitter(project.id).exceptions) == 1


def test_an_unknown_set_says_which_there_are(store, project):
    store.prompts.create_set(project.id, "exam", user("a"))
    with pytest.raises(NotFound, match="no prompt set called “quiz”") as caught:
        store.prompts.prompts(project.id, "quiz")
    assert "“exam”" in caught.value.hint


def test_prompts_have_tags(store, project):
    store.prompts.create_set(
        project.id, "tagged", [[{"role": "user", "content": text}] for text in "ab"], tags=[("hard", "billing"), ()]
    )
    assert [prompt.tags for prompt in store.prompts.prompts(project.id)] == [("hard", "billing"), ()]
