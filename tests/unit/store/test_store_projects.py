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


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "needs a name"),
        (" \n\t ", "needs a name"),
        ("\u200d", "needs a name"),
        ("x" * 200, "has 200 characters"),
        ("Sup\x07port", "cannot be seen"),
        ("Sup\u202eport", "cannot be seen"),
        ("Sup\u200bport", "cannot be seen"),
        ("\ud800", "cannot be seen"),
        ("SUPPORT", "already a project called “Support”"),
        ("  support ", "already a project called “Support”"),
    ],
    ids=["empty", "blank", "joiner", "long", "bell", "turned around", "zero width", "half", "taken", "taken, in blanks"],
)
def test_a_name_that_cannot_be_used_is_refused_in_one_sentence(store, project, name, said):
    for refused in (lambda: store.projects.create(name), lambda: store.projects.rename(store.projects.ensure("Other").id, name)):
        with pytest.raises(BadInput, match=said) as trouble:
            refused()
        assert trouble.value.hint.count(".") == 1


@pytest.mark.parametrize("name", ["R&D <b>", "دعم العملاء", "קול", "Ärger", "👩‍⚕️ ward", "می‌خواهم", "Two\nlines"], ids=ascii)
def test_every_name_that_can_be_read_is_kept_as_it_is_typed(store, name):
    made = store.projects.create(name)
    assert made.name == " ".join(name.split())
    assert store.projects.find(name) == store.projects.get(made.id)
    with pytest.raises(BadInput, match="already"):
        store.projects.create(name.upper())


def test_an_accent_is_the_same_however_it_is_put_together(store):
    store.projects.create("Caf\u00e9")
    with pytest.raises(BadInput, match="already"):
        store.projects.create("Cafe\u0301")


def test_an_archived_project_is_in_no_list_and_keeps_its_name(store, project):
    other = store.projects.create("Other")
    away = store.projects.archive(project.id)
    assert not away.in_use
    assert store.projects.all() == [other]
    assert store.projects.archived() == [away]
    with pytest.raises(BadInput, match="an archived project called “Support”"):
        store.projects.create("support")
    assert store.projects.archive(project.id, away=False) == project
    assert store.projects.all() == [project, other]


def test_a_deleted_project_gives_its_name_away_and_comes_back_under_a_free_one(store, project):
    gone = store.projects.delete(project.id)
    assert (gone.name, gone.in_use) == ("Support", False)
    assert store.projects.delete(project.id) == gone, "twice is once"
    assert store.projects.all() == store.projects.archived() == []
    assert store.projects.deleted() == [gone]
    assert store.projects.by_name("Support") is None
    with pytest.raises(NotFound):
        store.projects.find("Support")
    new = store.projects.create("Support")
    with pytest.raises(BadInput, match="already"):
        store.projects.restore(project.id, "Support")
    back = store.projects.restore(project.id, store.projects.free_name("Support"))
    assert (back.id, back.name, back.in_use) == (project.id, "Support 2", True)
    assert store.projects.all() == [back, new]
    assert store.projects.deleted() == []


def test_a_free_name_is_never_too_long(store):
    store.projects.create("x" * 120)
    assert store.projects.free_name("x" * 120) == "x" * 112 + " 2"
    assert store.projects.free_name("y") == "y"
