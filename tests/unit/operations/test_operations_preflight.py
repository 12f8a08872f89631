"""The preflight: everything is looked at, each refusal has its remedy, and what is well is said too."""

import json

import pytest
from operations_helpers import QuietQueue, adapter, example, finish, ranking, write_lines

from rlhf_desktop.core.errors import BadInput, ModelTrouble, NoSpace, NotEnoughFeedback, NotFound, WorkerTrouble
from rlhf_desktop.core.measures import ModelCheck, RowSize
from rlhf_desktop.core.recipes import ALGORITHMS
from rlhf_desktop.core.runs import DeviceRef, ModelRef
from rlhf_desktop.feedback.rows import RankingRow
from rlhf_desktop.jobs import device
from rlhf_desktop.jobs.device import Tenant, choose_device
from rlhf_desktop.operations import preflight as module
from rlhf_desktop.operations.feedback import import_feedback
from rlhf_desktop.operations.preflight import preflight, rough_estimates, start_checked
from rlhf_desktop.operations.training import start_run
from rlhf_desktop.operations.workload import RunPlan
from rlhf_desktop.store.importing import import_rows

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
    assert list(named(found)) == ["settings", "parts", "feedback", "family", "split", "disk", "template", "end of turn", "memory"]
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


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_feedback_is_refused_before_the_model_is_asked(store, workspace, project, base, monkeypatch, algorithm):
    for way in ("check_model", "probe_device", "check_teachable"):
        monkeypatch.setattr(module, way, lambda *_: pytest.fail("the model was asked"))
    reward = adapter(base_hash=base.hash, path=workspace.root) if algorithm == "ppo" else None
    found = preflight(store, workspace, project, RunPlan(algorithm, base, reward=reward))
    assert list(named(found)) == ["settings", "parts", "feedback"]
    with pytest.raises(NotEnoughFeedback, match="There are no"):
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
    monkeypatch.setattr(module, "free_bytes", lambda _: int(share * need))
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


GB = 10**9
CARD = {"id": "cuda:0", "kind": "nvidia", "name": "Card A", "uuid": "GPU-a", "memory_total_bytes": 8 * GB, "fast_dtype": "bfloat16"}
OTHER = {**CARD, "id": "cuda:1", "name": "Card B", "uuid": "GPU-b", "memory_total_bytes": 24 * GB}
PROCESSOR = {"id": "cpu", "kind": "cpu", "name": "Processor", "uuid": "", "fast_dtype": "float32"}


@pytest.fixture
def cards(look, monkeypatch):
    """Two cards, of whose free memory the driver tells."""
    look()
    free = {"GPU-a": 6 * GB, "GPU-b": 20 * GB}
    monkeypatch.setattr(module, "probe_device", lambda: {"devices": [CARD, OTHER, PROCESSOR]})
    monkeypatch.setattr(module, "known_device", lambda: {"devices": [CARD, OTHER, PROCESSOR]})
    monkeypatch.setattr(device.nvml, "free_bytes", free.get)
    return free


def test_the_memory_is_that_of_the_card_the_run_goes_to_now(cards, store, workspace, project, base, taught):
    found = preflight(store, workspace, project, RunPlan("dpo", base))
    assert found.estimate.sentence.endswith("; 20 GB are free on Card B.")
    cards["GPU-b"] = GB  # somebody has begun to use it
    assert preflight(store, workspace, project, RunPlan("dpo", base)).estimate.sentence.endswith("; 6 GB are free on Card A.")
    assert rough_estimates(store, workspace, project, base)["dpo"].device_name == "Card A"


def test_the_chosen_card_is_looked_at_and_frozen_in_the_run(cards, store, workspace, project, base, taught):
    choose_device(DeviceRef(id="cuda:0", uuid="GPU-a", name="Card A"))
    seen = []
    run = start_checked(store, QuietQueue(workspace), project, RunPlan("dpo", base), on_look=seen.append)
    assert seen[0].estimate.free_bytes == 6 * GB
    assert run.config().device.uuid == "GPU-a"
    assert run.config().foreseen_bytes == seen[0].estimate.peak_bytes
    choose_device(DeviceRef(id="cuda:5", uuid="GPU-gone", name="Old card"))
    with pytest.raises(NotFound, match="Old card"):
        start_checked(store, QuietQueue(workspace), project, RunPlan("dpo", base))


def test_what_chat_holds_on_the_runs_card_counts_as_free_and_is_said(cards, store, workspace, project, base, taught, monkeypatch):
    cards["GPU-b"], cards["GPU-a"] = 0, -1
    monkeypatch.setattr(device.nvml, "held_bytes", lambda uuid, pid: {("GPU-b", 7): 12 * GB}.get((uuid, pid)))
    beside = preflight(store, workspace, project, RunPlan("dpo", base), chat=Tenant(7, "GPU-b"))
    assert beside.estimate.free_bytes == 12 * GB
    assert named(beside)["memory"].sentence.endswith("Chat’s model leaves memory meanwhile.")
    unseen = preflight(store, workspace, project, RunPlan("dpo", base), chat=Tenant(8, "cuda:1", weights_bytes=3 * GB))
    assert unseen.estimate.free_bytes == 3 * GB  # the driver does not tell: at least its model goes
    elsewhere = preflight(store, workspace, project, RunPlan("dpo", base), chat=Tenant(7, "GPU-a"))
    assert isinstance(elsewhere.troubles[0], NoSpace)
    assert "Card B" in elsewhere.troubles[0].message


def test_a_run_that_has_to_wait_for_a_card_may_have_all_of_it(cards, store, workspace, project, base, taught):
    choose_device(DeviceRef(id="cuda:0", uuid="GPU-a", name="Card A"))
    cards["GPU-a"] = 0  # another run has it
    lock = device.device_lock(device.devices_of({"devices": [CARD]})[0])
    assert lock.acquire()
    found = preflight(store, workspace, project, RunPlan("dpo", base))
    lock.release()
    assert found.estimate.sentence.endswith("; Card A has 8 GB, and another run uses it now.")
    assert not found.troubles


def test_rough_estimates_are_near_the_counted_ones_and_only_for_what_could_start(
    look, store, workspace, project, base, taught, monkeypatch
):
    assert rough_estimates(store, workspace, project, base) == {}  # nothing is known of this computer
    counted = look().estimate
    monkeypatch.setattr(module, "known_device", lambda: {"device": "cpu", "fast_dtype": "float32"})
    found = rough_estimates(store, workspace, project, base)
    assert set(found) == {"sft", "reward", "dpo"}
    assert found["dpo"].wall_s is None
    assert found["dpo"].peak_bytes == pytest.approx(counted.peak_bytes, rel=0.25)
    assert "ppo" in rough_estimates(store, workspace, project, base, adapter(base_hash=base.hash))


def test_a_base_model_is_to_be_taught_by_example_first(look, taught, base):
    untaught = WELL.model_copy(update={"has_template": False})
    said = "This model has never been taught to answer: teach by example first."
    assert named(look(untaught))["template"].sentence == said
    begun = RunPlan("dpo", base, start=adapter(base_hash=base.hash, path=str(base.path)))
    for plan in (RunPlan("sft", base), begun):
        found = named(look(untaught, plan=plan))["template"]
        assert (found.state, found.sentence) == ("note", "“tiny” has never been taught to answer.")


@pytest.mark.parametrize(
    ("kind", "algorithm", "state"),
    [
        ("none", "dpo", None),
        ("switch", "dpo", "well"),
        ("always", "sft", "note"),
        ("free", "dpo", None),
        ("free", "ppo", "trouble"),
    ],
)
def test_what_becomes_of_thoughts_is_said(look, taught, base, kind, algorithm, state):
    judge = adapter(base_hash=base.hash, path=str(base.path))
    plan = RunPlan(algorithm, base, reward=judge if algorithm == "ppo" else None)
    found = named(look(WELL.model_copy(update={"thinking": kind}), plan=plan)).get("thoughts")
    assert (found.state if found else None) == state


def test_pairs_without_a_difference_are_counted_and_refused_when_there_is_nothing_else(look, store, project):
    same = [RankingRow([{"role": "user", "content": f"Q {n}"}], ("First book.", "First book."), (1, 2)) for n in range(9)]
    import_rows(store, project.id, same)
    with pytest.raises(NotEnoughFeedback, match="of one text with itself"):
        look().raise_first()
    import_rows(store, project.id, [RankingRow([{"role": "user", "content": "Other"}], ("a", "b"), (1, 2))])
    again = look()
    assert [finding.name for finding in again.refusals] == []
    assert "9 rows (" in named(again)["rows"].sentence


def test_pairs_that_differ_in_what_was_thought_alone_are_counted_as_well(look, tmp_path):
    alike = [ranking(f"Q {n}", f"<think>Hm {n}.</think>A book.", "<think>Well.</think>A book.") for n in range(9)]
    mixed = write_lines(tmp_path / "mixed.jsonl", *alike, *(ranking(f"File {n}", "good", "bad") for n in range(20)))
    assert named(look(data_file=mixed))["rows"].sentence.endswith("set aside: the answers are the same text.")


@pytest.mark.parametrize(
    ("rate", "low", "state", "said"),
    [
        (0.8, 0.65, "well", "The reward model agrees with 80%"),
        (0.3, 0.05, "note", "a coin reaches 50%"),
        (None, None, "note", "nobody knows"),
    ],
)
def test_practising_against_a_reward_model_no_better_than_a_coin_is_warned_of(
    look, workspace, base, store, project, taught, rate, low, state, said
):
    names = ("eval/rewards/accuracies", "eval/accuracy_low", "eval/accuracy_high", "eval/prompts")
    measured = {} if rate is None else dict(zip(names, (rate, low, 1.0, 40), strict=True))
    run = finish(start_run(store, QuietQueue(workspace), project, "reward", base=base), **measured)
    found = look(plan=RunPlan("ppo", base, reward=adapter(base_hash=base.hash, path=run.adapter)))
    finding = named(found)["reward model"]
    assert finding.state == state
    assert said in finding.sentence
    assert finding.remedy.startswith("Judge about ") == (state == "note")
    found.raise_first()  # whoever insists may


def test_a_reward_model_from_elsewhere_was_measured_on_nothing(look, tmp_path, base, taught):
    (tmp_path / "elsewhere").mkdir()
    plan = RunPlan("ppo", base, reward=adapter(base_hash=base.hash, path=tmp_path / "elsewhere"))
    assert named(look(plan=plan))["reward model"].state == "note"
