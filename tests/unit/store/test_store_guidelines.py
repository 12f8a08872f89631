import pytest

from rlhf_desktop.core.errors import BadInput, NotFound


def test_each_text_is_a_version_and_the_same_text_is_none(store, project):
    assert store.guidelines.current(project.id) is None
    first = store.guidelines.save(project.id, "Be kind.", "Ada")
    again = store.guidelines.save(project.id, " Be kind.\n", "Bo")
    second = store.guidelines.save(project.id, "Be kind and brief.", "Bo")
    assert (first.version, again, second.version) == (1, first, 2)
    assert store.guidelines.current(project.id) == second
    assert store.guidelines.get(project.id, 1).text == "Be kind."
    assert [g.version for g in store.guidelines.versions(project.id)] == [2, 1]
    with pytest.raises(NotFound):
        store.guidelines.get(project.id, 3)
    with pytest.raises(BadInput):
        store.guidelines.save(project.id, "x" * 200_001, "Ada")


def test_each_project_has_its_own(store, project):
    store.guidelines.save(project.id, "Be kind.", "Ada")
    assert store.guidelines.current(store.projects.create("Other").id) is None
