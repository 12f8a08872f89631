"""The preflight: everything is looked at, each refusal has its remedy, and what is well is said too."""

import json

import pytest
from operations_helpers import QuietQueue, adapter, example, ranking, write_lines

from rlhf_desktop.core.errors import BadInput, ModelTrouble, NoSpace, NotEnoughFeedback, WorkerTrouble
from rlhf_desktop.core.measures import ModelCheck, RowSize
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.operations import preflight as module
from rlhf_desktop.operations.feedback import import_feedback
from rlhf_desktop.operations.preflight import preflight, rough_estimates, start_checked
from rlhf_desktop.operations.workload import RunPlan

CONFIG = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 384, "intermediate_size": 128}
WELL = ModelCheck(has_template=True, end_token="<|im_end|>", end_is_trained=True)


@pytest.fixture
def base(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(CONFIG))
    return ModelRef(name="tiny", path=str(tmp_path / "model"), hash="base-hash")


@pytest.fixture
def look(store, workspace, project, base, monkeypatch):
    def check(facts=WELL, plan=None, **more):
        def answer(asked, rows):
            assert asked == base
            sizes = [RowSize(prompt=20, answers=[10] * len(row.answers)) for row in rows]
            return facts.model_copy(update={"sizes": sizes})

        monkeypatch.setattr(module, "check_model", answer)
        monkeypatch.setattr(module, "probe_device", lambda: {"device": "cpu", "fast_dtype": "float32"})
        monkeypatch.setattr(module, "known_rates", lambda *_: None)
        return preflight(store, workspace, project, plan or RunPlan("dpo", base), **more)

    return check


@pytest.fixture
def taught(store, project, tmp_path):
    rows = [ranking(f"Question {n}", "good", "bad") for n in range(140)] + [example(f"Question {n}", "good") for n in range(30)]
    import_feedback(store, project, write_lines(tmp_path / "taught.jsonl", *rows))


def named(found):
    return {finding.name: finding for finding in found.findings}


def test_all_is_well(look, taught):
    found = look()
    assert list(named(found)) == ["settings", "parts", "feedback", "split", "disk", "template", "end of turn", "memory"]
    assert {finding.state for finding in found.findings} == {"well"}
    assert found.refusals == found.troubles == ()
    assert len(found.sizes.train) + len(found.sizes.heldout) == 140
    assert found.estimate.fits
    found.raise_first()


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"template_trouble": "The template refuses the conversation."}, "template"),
        ({"prefix_stable": False}, "template"),
        ({"end_token": ""}, "end of turn"),
        ({"end_is_trained": False}, "end of turn"),
    ],
)
def test_a_model_that_cannot_be_trained_well_is_refused(look, taught, facts, name):
    found = look(WELL.model_copy(update=facts))
    assert [finding.name for finding in found.refusals] == [name]
    assert found.refusals[0].remedy
    with pytest.raises(ModelTrouble):
        found.raise_first()


@pytest.mark.parametrize("facts", [{"has_template": False}, {"system_trouble": "It knows no system turn."}])
def test_what_can_be_lived_with_is_a_note(look, taught, facts):
    found = look(WELL.model_copy(update=facts))
    assert [finding.name for finding in found.notes] == ["template"]
    found.raise_first()


def test_no_feedback_is_refused_before_the_model_is_asked(look):
    found = look()
    assert list(named(found)) == ["settings", "parts", "feedback"]
    with pytest.raises(NotEnoughFeedback, match="no rankings"):
        found.raise_first()


def test_little_feedback_and_nothing_held_out_are_notes(look, store, project, tmp_path):
    split = store.projects.splitter(project.id)
    prompts = [f"Question {n}" for n in range(40)]
    kept = [p for p in prompts if split([{"role": "user", "content": p}]) == "train"][:5]
    import_feedback(store, project, write_lines(tmp_path / "r.jsonl", *(ranking(p, "good", "bad") for p in kept)))
    found = look()
    assert [finding.name for finding in found.notes] == ["feedback", "split"]
    assert "5 of 100 comparisons suggested" in found.notes[0].sentence


def test_several_troubles_are_all_said(look, base):
    plan = RunPlan("dpo", base, {"epochs": 0}, start=adapter(base_hash="other"))
    found = look(plan=plan)
    assert [finding.name for finding in found.refusals] == ["settings", "parts", "feedback"]
    assert all(finding.remedy for finding in found.refusals)
    with pytest.raises(BadInput):
        found.raise_first()


def test_ppo_without_a_reward_model_and_with_one_that_is_gone(look, base, taught):
    assert "needs a reward model" in look(plan=RunPlan("ppo", base)).refusals[0].sentence
    gone = RunPlan("ppo", base, reward=adapter(base_hash=base.hash, path="/nowhere/adapter"))
    assert "is gone" in look(plan=gone).refusals[0].sentence


def test_4_bit_numbers_without_their_package_are_refused(look, base, taught, monkeypatch):
    monkeypatch.setattr("rlhf_desktop.core.recipes.find_spec", lambda name: None)
    found = look(plan=RunPlan("dpo", base, {"quantization": "4bit"}))
    assert "bitsandbytes" in found.refusals[0].sentence
    assert "pip install bitsandbytes" in found.refusals[0].remedy


def test_a_full_disk_is_refused(look, taught, monkeypatch):
    monkeypatch.setattr(module, "free_disk_bytes", lambda _: 10**6)
    with pytest.raises(NoSpace, match="are free on the disk"):
        look().raise_first()


@pytest.mark.parametrize(("share", "state"), [(0.5, "trouble"), (0.9, "note"), (1.5, "well")])
def test_memory_that_is_not_free(look, taught, monkeypatch, share, state):
    need = look().estimate.peak_bytes
    monkeypatch.setattr(module, "_free", lambda _: int(share * need))
    assert named(look())["memory"].state == state


def test_a_worker_that_fails_is_a_trouble(look, taught, monkeypatch, store, workspace, project, base):
    def broken(*_):
        raise WorkerTrouble("The model could not be measured.", "Try again.")

    look()
    monkeypatch.setattr(module, "check_model", broken)
    found = preflight(store, workspace, project, RunPlan("dpo", base))
    assert found.refusals[0].sentence == "The model could not be measured."
    assert found.estimate is None


def test_a_file_of_feedback_is_looked_at_too(look, tmp_path):
    path = write_lines(tmp_path / "f.jsonl", *(ranking(f"File {n}", "good", "bad") for n in range(20)))
    found = look(data_file=path)
    assert named(found)["feedback"].sentence.endswith("items of f.jsonl to learn from.")
    assert found.estimate is not None


def test_a_run_is_queued_once_nothing_stands_in_its_way(look, store, project, workspace, base, taught):
    look()  # answers for the worker from here on
    queue, seen = QuietQueue(workspace), []
    run = start_checked(store, queue, project, RunPlan("dpo", base, {"epochs": "2"}), title="Kinder", on_look=seen.append)
    assert (run.config().title, run.config().settings["epochs"], run.state().state) == ("Kinder", 2, "queued")
    assert seen[0].estimate.peak_bytes > 0


def test_a_run_that_cannot_work_is_not_queued(look, store, project, workspace, base, taught):
    look(WELL.model_copy(update={"end_token": ""}))
    queue = QuietQueue(workspace)
    with pytest.raises(ModelTrouble, match="no token that ends a turn"):
        start_checked(store, queue, project, RunPlan("dpo", base), on_look=lambda _: pytest.fail("told all the same"))
    assert queue.runs() == []


def test_rough_estimates_are_near_the_counted_ones_and_only_for_what_could_start(look, store, project, base, taught, monkeypatch):
    assert rough_estimates(store, project, base) == {}  # nothing is known of this computer
    counted = look().estimate
    monkeypatch.setattr(module, "known_device", lambda: {"device": "cpu", "fast_dtype": "float32"})
    found = rough_estimates(store, project, base)
    assert set(found) == {"sft", "reward", "dpo"}
    assert found["dpo"].wall_s is None
    assert found["dpo"].peak_bytes == pytest.approx(counted.peak_bytes, rel=0.25)
    assert "ppo" in rough_estimates(store, project, base, adapter(base_hash=base.hash))
