import pytest

from rlhf_desktop.core.errors import BadInput, NotFound


def user(text: str) -> list:
    return [{"role": "user", "content": text}]


def test_projects_are_found_by_name_or_id(store, project):
    assert store.projects.find("support") == store.projects.find(project.id) == store.projects.get(project.id) == project
    with pytest.raises(NotFound, match="no project called “Other”") as caught:
        store.projects.find("Other")
    assert "“Support”" in caught.value.hint
    with pytest.raises(NotFound):
        store.projects.get("nothing")


def test_ensure_makes_a_project_once(store):
    sample = store.projects.ensure("Sample", sample=True)
    assert sample.sample
    assert store.projects.ensure("Sample") == sample
    assert store.projects.all() == [sample]


@pytest.mark.parametrize("name", ["", "  ", "x" * 121, "SUPPORT"])
def test_a_name_that_is_missing_too_long_or_taken_is_refused(store, project, name):
    with pytest.raises(BadInput):
        store.projects.create(name)
    assert store.projects.all() == [project]


def test_renaming(store, project):
    store.projects.create("Other")
    assert store.projects.rename(project.id, " support  desk ").name == "support desk"
    assert store.projects.rename(project.id, "Support Desk").name == "Support Desk"
    with pytest.raises(BadInput, match="already"):
        store.projects.rename(project.id, "other")


def test_a_fixed_half_goes_before_the_hash_in_its_project_only(store, project):
    other = store.projects.create("Other", heldout_share=0.0)
    store.projects.fix_split(project.id, [user("One"), user("Two")], "heldout")
    store.projects.fix_split(project.id, [user("one "), user("Three")], "heldout")
    assert [store.projects.splitter(project.id)(user(t)) for t in ("ONE", "Two", "Three")] == ["heldout"] * 3
    assert store.projects.splitter(other.id)(user("One")) == "train"


def test_a_prompt_never_changes_sides(store, project):
    store.projects.fix_split(project.id, [user("One")], "heldout")
    with pytest.raises(BadInput, match="other side"):
        store.projects.fix_split(project.id, [user("Two"), user("One")], "train")
    assert len(store.projects.splitter(project.id).exceptions) == 1


def test_settings_are_kept_by_key_and_project(store, project):
    store.settings.set("model", "starter")
    store.settings.set("model", {"name": "mine"}, project.id)
    assert store.settings.get("model") == "starter"
    assert store.settings.get("model", project_id=project.id) == {"name": "mine"}
    store.settings.set("model", None)
    assert store.settings.get("model", "none") == "none"
