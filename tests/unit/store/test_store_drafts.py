import pytest

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.store.database import Store


def test_a_draft_is_there_in_the_next_session_for_its_owner_only(store, project, tmp_path):
    store.drafts.save(project.id, "Ada", "label:1", {"ranks": [1, None], "text": "I was about to"})
    store.drafts.save(project.id, "Ada", "label:2", {})
    store.drafts.save(project.id, "Ada", "label:1", {"ranks": [1, 2]})
    with Store.open(tmp_path / "feedback.db") as later:
        assert later.drafts.get(project.id, "Ada", "label:1") == {"ranks": [1, 2]}
        assert later.drafts.get(project.id, "Bo", "label:1") is None
        assert {draft.key for draft in later.drafts.all(project.id, "Ada")} == {"label:1", "label:2"}
        later.drafts.discard(project.id, "Ada", "label:1")
    assert [draft.key for draft in store.drafts.all(project.id, "Ada")] == ["label:2"]


def test_a_draft_without_end_is_refused(store, project):
    with pytest.raises(BadInput):
        store.drafts.save(project.id, "Ada", "k", {"text": "x" * 2_000_001})
