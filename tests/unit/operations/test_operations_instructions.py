"""Saved instructions: by name, of one project."""

import pytest

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.operations.instructions import (
    LONGEST_NAME,
    Instructions,
    delete_instructions,
    find_instructions,
    rename_instructions,
    save_instructions,
    saved_instructions,
)
from rlhf_desktop.store.database import Store


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "t.db") as opened:
        yield opened


@pytest.fixture
def project(store):
    return store.projects.create("Shop")


def test_they_are_kept_by_name_in_order_and_of_one_project_alone(store, project):
    save_instructions(store, project, "  shop ", " Be kind.\n")
    save_instructions(store, project, "Brief", "Be brief.")
    assert saved_instructions(store, project) == [Instructions("Brief", "Be brief."), Instructions("shop", "Be kind.")]
    assert saved_instructions(store, store.projects.create("Other")) == []


def test_saving_under_the_same_name_replaces_however_it_is_cased(store, project):
    save_instructions(store, project, "Shop", "Be kind.")
    save_instructions(store, project, "SHOP", "Be kinder.")
    assert saved_instructions(store, project) == [Instructions("SHOP", "Be kinder.")]
    assert find_instructions(store, project, "shop").text == "Be kinder."


def test_a_new_name_is_free_or_refused(store, project):
    save_instructions(store, project, "Shop", "Be kind.")
    save_instructions(store, project, "Brief", "Be brief.")
    with pytest.raises(BadInput, match="saved as “Brief”"):
        rename_instructions(store, project, "Shop", "Brief")
    rename_instructions(store, project, "Shop", "shop")  # another way to write it
    assert [one.name for one in saved_instructions(store, project)] == ["Brief", "shop"]


def test_what_is_deleted_can_be_saved_again(store, project):
    save_instructions(store, project, "Shop", "Be kind.")
    gone = delete_instructions(store, project, "Shop")
    assert saved_instructions(store, project) == []
    save_instructions(store, project, gone.name, gone.text)
    assert find_instructions(store, project, "Shop") == gone


@pytest.mark.parametrize(("name", "text"), [(" ", "x"), ("x" * (LONGEST_NAME + 1), "x"), ("Shop", " ")])
def test_what_cannot_be_saved_is_said(store, project, name, text):
    with pytest.raises(BadInput):
        save_instructions(store, project, name, text)
    assert saved_instructions(store, project) == []


def test_a_name_that_is_not_there_says_which_are(store, project):
    with pytest.raises(NotFound) as caught:
        find_instructions(store, project, "Shop")
    assert caught.value.hint == "Save some in Chat first."
