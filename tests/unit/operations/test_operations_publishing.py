import json

import pytest
from operations_helpers import QuietQueue, ranking, write_lines

from rlhf_desktop.core import runs
from rlhf_desktop.core.errors import BadInput, ModelTrouble, NotEnoughFeedback
from rlhf_desktop.core.files import append_jsonl
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.hub.cards import Statement
from rlhf_desktop.hub.library import Library
from rlhf_desktop.jobs.adapters import list_adapters
from rlhf_desktop.operations.feedback import import_feedback
from rlhf_desktop.operations.publishing import (
    adapter_card,
    draft_dataset,
    find_adapter,
    plan_adapter,
    plan_dataset,
    preference_rows,
)
from rlhf_desktop.operations.training import start_run
from tests.hostile import make_adapter

CANARY = "canary-prompt-7731"


@pytest.fixture
def judged(store, project, tmp_path):
    rows = [ranking(f"{CANARY} {n}", "good answer", f"bad answer {n}") for n in range(20)]
    rows.append(ranking("Please write to amina@ward.example", "I will.", "No."))
    import_feedback(store, project, write_lines(tmp_path / "r.jsonl", *rows), annotator="Amina Haddad")
    return project


@pytest.fixture
def tuned(workspace, store, judged):
    """A finished run whose adapter has a path of this computer in its configuration."""
    base = ModelRef(name="tiny", path="/home/amina/models/tiny", hash="base-hash")
    run = start_run(store, QuietQueue(workspace), judged, "dpo", base=base, title="Kinder")
    make_adapter(run.adapter)
    config = json.loads((run.adapter / "adapter_config.json").read_text())
    (run.adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": base.path}))
    (run.adapter / "README.md").write_text("old card")
    (run.adapter / "notes.txt").write_text("mine")
    finished = runs.Finished(seq=0, time=1.0, outcome="done", metrics={"rewards/accuracies": 0.8, "wall_s": 3.0})
    append_jsonl(run.events, finished.model_dump(mode="json"))
    (info,) = list_adapters(workspace)
    return info


def test_an_adapters_plan_is_its_card_its_weights_and_no_path_of_this_computer(workspace, store, tuned):
    card = adapter_card(workspace, Library(workspace), store, find_adapter(workspace, tuned.ref))
    plan = plan_adapter("amina/kinder", workspace.runs / tuned.run_id / "adapter", card, Statement("mit"))
    assert plan.private
    assert {file.path for file in plan.files} == {
        "README.md", "rlhf_desktop.json", "adapter_config.json", "adapter_model.safetensors",
    }  # fmt: skip
    for file in plan.files:
        content = file.content if isinstance(file.content, bytes) else file.content.read_bytes()
        for secret in (b"/home/amina", CANARY.encode(), b"Haddad", b"good answer"):
            assert secret not in content
    assert "rewards/accuracies | 0.8" in plan.card
    assert "wall_s" not in plan.card
    facts = json.loads(next(file.content for file in plan.files if file.path == "rlhf_desktop.json"))
    assert facts["base_hash"] == "base-hash"


def test_a_damaged_adapter_is_not_published(workspace, store, tuned):
    card = adapter_card(workspace, Library(workspace), store, tuned)
    folder = workspace.runs / tuned.run_id / "adapter"
    (folder / "adapter_model.safetensors").write_bytes(b"half")
    with pytest.raises(ModelTrouble):
        plan_adapter("amina/kinder", folder, card, Statement())


def test_only_what_is_ticked_is_in_a_dataset(store, judged):
    rows = preference_rows(store, judged)
    assert len(rows) == 21
    draft = draft_dataset(rows)
    plan = plan_dataset("amina/pairs", "Pairs", draft, Statement(), leave_out=draft.review.rows())
    text = b"".join(file.content for file in plan.files if isinstance(file.content, bytes)).decode()
    assert "Amina" not in text  # the annotator's column is not ticked
    assert "ward.example" not in text  # nor is the row with the address
    published = [json.loads(line) for file in plan.files[1:] for line in file.content.decode().splitlines()]
    assert len(published) == 20
    assert all(list(row) == ["prompt", "chosen", "rejected"] for row in published)
    assert {file.path for file in plan.files} <= {"README.md", "data/train.jsonl", "data/test.jsonl"}


def test_what_is_found_can_be_replaced(store, judged):
    draft = draft_dataset(preference_rows(store, judged), ["annotator"])
    assert draft.review.counts()["e-mail"] == 1
    plan = plan_dataset("amina/pairs", "Pairs", draft, Statement(), replace=draft.review.finds)
    text = b"".join(file.content for file in plan.files if isinstance(file.content, bytes)).decode()
    assert "[e-mail]" in text
    assert "ward.example" not in text
    assert "1 × e-mail" in plan.card


def test_columns_and_rows_there_are_none_of(store, project, judged):
    with pytest.raises(BadInput, match="no column called"):
        draft_dataset(preference_rows(store, judged), ["salary"])
    draft = draft_dataset(preference_rows(store, judged))
    with pytest.raises(NotEnoughFeedback, match="No row is left"):
        plan_dataset("a/b", "t", draft, Statement(), leave_out=range(99))
    with pytest.raises(NotEnoughFeedback, match="no comparisons"):
        preference_rows(store, store.projects.create("Empty"))
