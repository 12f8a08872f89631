"""Starting a run: what it freezes, what it refuses, and that a refusal leaves nothing behind."""

import errno

import pytest
from operations_helpers import BASE, QuietQueue, adapter, example, ranking, write_lines

from rlhf_desktop.core.errors import BadInput, ModelTrouble, NoSpace, NotEnoughFeedback
from rlhf_desktop.core.recipes import ALGORITHMS, make_settings
from rlhf_desktop.core.runs import GgufFile
from rlhf_desktop.feedback.judgements import Judgement, Thumbs
from rlhf_desktop.feedback.snapshot import ThumbedAnswer, read_snapshot
from rlhf_desktop.jobs import runfolder
from rlhf_desktop.operations.amounts import amounts
from rlhf_desktop.operations.feedback import import_feedback
from rlhf_desktop.operations.lineage import lineage
from rlhf_desktop.operations.training import run_result, start_run, versions


@pytest.fixture
def queue(workspace):
    return QuietQueue(workspace)


@pytest.fixture
def taught(store, project, tmp_path):
    """A project with 20 rankings and 10 examples."""
    rows = [ranking(f"Question {n}", "good", "bad") for n in range(20)] + [example(f"Question {n}", "good") for n in range(10)]
    import_feedback(store, project, write_lines(tmp_path / "taught.jsonl", *rows))
    return project


@pytest.fixture
def thumbed(store, taught):
    """The same with a thumb up on the better answer of each ranking."""
    for item in store.judged(taught.id):
        if item.judgement.kind == "ranking":
            store.judgements.add(Judgement(taught.id, "me", item.judgement.displayed[:1], Thumbs(up=True)))
    return taught


def test_a_run_freezes_settings_data_and_parts(store, queue, taught):
    start = adapter("Examples 1")
    run = start_run(store, queue, taught, "dpo", base=BASE, start=start, settings={"epochs": "5"}, title=" Kinder ")
    config = run.config()
    assert (config.title, config.algorithm, config.base, config.start, config.project_id) == (
        "Kinder",
        "dpo",
        BASE,
        start,
        taught.id,
    )
    assert config.settings["epochs"] == 5
    assert config.versions == versions()
    assert run.state().state == "queued"
    rows = read_snapshot(run.data)
    assert len(rows) == 20
    assert {row.split for row in rows} == {"train", "heldout"}


def test_a_run_computes_with_the_whole_weights_whatever_answers(store, queue, taught):
    fast = BASE.model_copy(update={"gguf": GgufFile(path="m.gguf", sha256="", bytes=1, numbers="Q8_0")})
    assert start_run(store, queue, taught, "sft", base=fast).config().base == BASE


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_frozen_settings_are_ones_the_trainer_accepts(store, queue, thumbed, algorithm):
    reward = adapter("Judge") if algorithm == "ppo" else None
    config = start_run(store, queue, thumbed, algorithm, base=BASE, reward=reward).config()
    assert make_settings(algorithm, config.settings) == make_settings(algorithm, {})


def test_thumbs_are_what_kto_learns_from(store, queue, thumbed):
    rows = read_snapshot(start_run(store, queue, thumbed, "kto", base=BASE).data)
    assert len(rows) == 20
    assert all(isinstance(row, ThumbedAnswer) and row.desirable and row.text == "good" for row in rows)
    there = amounts(store, thumbed)["kto"]
    assert there.have == sum(row.split == "train" for row in rows)
    assert there.sentence.endswith("of 100 thumbs suggested")


def test_names_are_made_up_without_repeats(store, queue, taught):
    titles = [start_run(store, queue, taught, "sft", base=BASE).config().title for _ in range(2)]
    assert titles == ["Examples 1", "Examples 2"]


def refused(store, queue, project, kind, match, algorithm="sft", **parts):
    with pytest.raises(kind, match=match) as trouble:
        start_run(store, queue, project, algorithm, base=BASE, **parts)
    assert trouble.value.hint
    assert list(queue.workspace.runs.iterdir()) == []


@pytest.mark.parametrize(
    ("algorithm", "missing"), [("sft", "examples"), ("reward", "rankings"), ("dpo", "rankings"), ("kto", "thumbs")]
)
def test_no_feedback_is_said_with_what_is_missing(store, queue, project, algorithm, missing):
    refused(store, queue, project, NotEnoughFeedback, missing, algorithm)


def test_ppo_without_prompts_and_without_a_reward_model(store, queue, project):
    refused(store, queue, project, BadInput, "PPO needs a reward model", "ppo")
    refused(store, queue, project, NotEnoughFeedback, "prompts to practise on", "ppo", reward=adapter())


def test_wrong_parts_are_refused_in_one_sentence(store, queue, taught, tmp_path):
    refused(store, queue, taught, BadInput, "no setting called “epoch”", settings={"epoch": "1"})
    refused(store, queue, taught, BadInput, "epochs = '0' does not work", settings={"epochs": "0"})
    refused(store, queue, taught, ModelTrouble, "another base model", start=adapter(base_hash="other"))
    refused(store, queue, taught, ModelTrouble, "another base model", "ppo", reward=adapter(base_hash="other"))
    refused(store, queue, taught, BadInput, "Only PPO uses a reward model", reward=adapter())
    refused(store, queue, taught, BadInput, "Only PPO uses a file of prompts", prompts_file=tmp_path / "p.jsonl")
    refused(store, queue, taught, BadInput, "practises on prompts", "ppo", reward=adapter(), data_file=tmp_path / "p.jsonl")


def test_a_full_disk_queues_nothing(store, queue, taught, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(runfolder, "write_snapshot", full)
    refused(store, queue, taught, NoSpace, "disk is full")


def test_a_file_of_feedback_is_learned_from_without_being_imported(store, queue, project, tmp_path):
    path = write_lines(tmp_path / "f.jsonl", *(ranking(f"File question {n}", "good", "bad") for n in range(20)))
    run = start_run(store, queue, project, "reward", base=BASE, data_file=path)
    split = store.projects.splitter(project.id)
    assert [row.split for row in read_snapshot(run.data)] == [split(row.prompt) for row in read_snapshot(run.data)]
    assert store.standing.counts(project.id) == {}


def test_a_file_with_a_bad_line_starts_no_run(store, queue, project, tmp_path):
    path = write_lines(tmp_path / "f.jsonl", ranking("Q", "good", "bad"), "oops")
    refused(store, queue, project, BadInput, r"f\.jsonl, line 2: it is not JSON", "reward", data_file=path)


def test_ppo_practises_on_a_file_but_never_on_held_out_prompts(store, queue, project, tmp_path):
    path = write_lines(tmp_path / "p.jsonl", *({"prompt": f"Prompt {n}"} for n in range(60)))
    run = start_run(store, queue, project, "ppo", base=BASE, reward=adapter(), prompts_file=path)
    split = store.projects.splitter(project.id)
    rows = read_snapshot(run.data)
    assert len(rows) == 60
    assert {row.split for row in rows} == {"train", "heldout"}
    assert all(row.split == split(row.prompt) for row in rows)


def test_the_lineage_of_an_adapter_goes_back_to_the_base(store, queue, taught):
    first = start_run(store, queue, taught, "sft", base=BASE)
    second = start_run(store, queue, taught, "dpo", base=BASE, start=adapter(path=first.adapter))
    chain = lineage(queue.workspace.runs, adapter(path=second.adapter))
    assert [config.run_id for config in chain] == [second.id, first.id]
    assert list(lineage(queue.workspace.runs, adapter())) == []


def test_a_run_that_has_not_finished_has_no_result(store, queue, taught):
    result = run_result(start_run(store, queue, taught, "sft", base=BASE))
    assert (result.adapter, result.metrics) == (None, {})
