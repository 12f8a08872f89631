import pytest

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.protocol import PRESETS, Protocol
from rlhf_desktop.store.profiles import Profile


def test_a_profile_is_kept_and_replaced_by_name(store):
    store.profiles.save(Profile("Ada", "nurse"))
    changed = store.profiles.save(Profile("Ada", "head nurse", "RN 1234"))
    store.profiles.save(Profile("bo"))
    assert store.profiles.get("Ada") == changed
    assert [p.name for p in store.profiles.all()] == ["Ada", "bo"]
    assert store.profiles.get("nobody") is None
    for bad in (Profile(" "), Profile("x", "y" * 301)):
        with pytest.raises(BadInput):
            store.profiles.save(bad)


def test_a_project_asks_what_it_was_told_to_ask(store, project):
    assert store.protocols.get(project.id) == Protocol()
    store.protocols.set(project.id, PRESETS["Medicine"])
    assert store.protocols.get(project.id) == PRESETS["Medicine"]
    assert store.protocols.get(store.projects.create("Other").id) == Protocol()
    with pytest.raises(BadInput, match="two answers"):
        store.protocols.set(project.id, Protocol().model_copy(update={"comparison": "pairwise", "answers": 3}))
    assert store.protocols.get(project.id) == PRESETS["Medicine"]
