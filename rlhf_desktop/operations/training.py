"""Starting a run: is there enough to learn from, do the parts fit each other, and then one frozen folder in the queue."""

import functools
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.core.recipes import Algorithm, describe, make_settings
from rlhf_desktop.core.runs import AdapterRef, Finished, ModelRef, RunConfig
from rlhf_desktop.feedback.conversations import Project, utc_now
from rlhf_desktop.feedback.formats import read_feedback
from rlhf_desktop.feedback.judgements import Judgement
from rlhf_desktop.feedback.prompt_files import read_prompts
from rlhf_desktop.feedback.rows import Problem
from rlhf_desktop.feedback.signals import Judged, snapshot_rows
from rlhf_desktop.feedback.snapshot import SnapshotRow
from rlhf_desktop.feedback.split import Splitter
from rlhf_desktop.jobs.device import wanted_device
from rlhf_desktop.jobs.follow import tail_events
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.jobs.runnotes import write_provenance
from rlhf_desktop.operations.projects import check_fits, check_in_use
from rlhf_desktop.operations.provenance import provenance_of
from rlhf_desktop.store.database import Store

NAMES: dict[Algorithm, str] = {"sft": "Examples", "reward": "Reward model", "ppo": "PPO", "dpo": "DPO", "kto": "Thumbs"}
NO_REWARD = ("PPO needs a reward model to practise against.", "Train a reward model first, then choose it (--reward).")
_VERSIONED = ("rlhf-desktop", "torch", "transformers", "peft", "safetensors")


def start_run(
    store: Store,
    queue: Queue,
    project: Project,
    algorithm: Algorithm,
    *,
    base: ModelRef,
    title: str = "",
    start: AdapterRef | None = None,
    reward: AdapterRef | None = None,
    settings: dict[str, Any] | None = None,
    data_file: Path | None = None,
    prompts_file: Path | None = None,
    foreseen_bytes: int | None = None,
) -> RunFolder:
    """Freeze a run and queue it; it starts by itself as soon as the device is free.

    Args:
        store: Where the feedback is.
        queue: Where the run goes.
        project: Whose feedback and split.
        algorithm: Which trainer.
        base: The frozen base model.
        title: What the result is called; "" makes one up.
        start: Train on top of this adapter, which is also the reference.
        reward: PPO's reward model.
        settings: What differs from the defaults; texts are converted.
        data_file: Learn from this file instead of the project's feedback (its prompts still follow the project's split).
        prompts_file: PPO practises on these prompts instead of the project's.
        foreseen_bytes: The memory it is thought to need.

    Raises:
        BadInput: a setting, file or combination that does not work.
        NotEnoughFeedback: nothing to learn from; says what is missing.
        ModelTrouble: an adapter was made for another base model.
        NoSpace: the disk is full; nothing was queued.
    """
    check_in_use(store.projects.get(project.id))  # another window or command may have put it away meanwhile
    chosen = make_settings(algorithm, settings or {})
    _check_parts(algorithm, base, start, reward, data_file, prompts_file)
    rows = gather(store, project, algorithm, data_file, prompts_file)
    config = RunConfig(
        run_id=new_id(),
        created=utc_now(),
        title=title.strip() or _free_title(queue, algorithm),
        project_id=project.id,
        algorithm=algorithm,
        base=base.whole(),
        start=start,
        reward=reward,
        settings=chosen.model_dump(mode="json", include={setting.name for setting in describe(algorithm)}),
        data_sha256="",
        versions=versions(),
        device=wanted_device(),
        foreseen_bytes=foreseen_bytes,
    )
    run = queue.submit(config, rows)
    facts: dict[str, Any] = {
        "run": run.id,
        "algorithm": algorithm,
        "rows": len(rows),
        "data": run.config().data_sha256,
        "base": base.hash,
    }
    store.audit.note("trained", project=project.id, **facts)
    if data_file is None:
        write_provenance(run, provenance_of(algorithm, store.judged(project.id)))
    return run


def _check_parts(
    algorithm: Algorithm,
    base: ModelRef,
    start: AdapterRef | None,
    reward: AdapterRef | None,
    data_file: Path | None,
    prompts_file: Path | None,
) -> None:
    if algorithm == "ppo" and reward is None:
        raise BadInput(*NO_REWARD)
    if algorithm == "ppo" and data_file is not None:
        raise BadInput("PPO practises on prompts, not on answers.", "Give a file of prompts (--prompts).")
    if algorithm != "ppo" and (reward is not None or prompts_file is not None):
        what = "reward model" if reward is not None else "file of prompts"
        raise BadInput(f"Only PPO uses a {what}.", "Leave it out, or choose PPO.")
    for adapter in (start, reward):
        if adapter is not None:
            check_fits(adapter, base)


def gather(
    store: Store, project: Project, algorithm: Algorithm, data_file: Path | None, prompts_file: Path | None
) -> list[SnapshotRow]:
    """What a run would learn from: the project's feedback, or a file's, or prompts to practise on.

    Raises:
        NotEnoughFeedback: nothing that may be trained on; says what is missing.
        BadInput, NotFound: a file that cannot be used.
    """
    if data_file is not None:
        return snapshot_rows(algorithm, _judged_from_file(data_file, project, store.projects.splitter(project.id)))
    prompts = read_prompts(prompts_file) if prompts_file is not None else None
    return store.snapshot_rows(project.id, algorithm, prompts)


def _judged_from_file(path: Path, project: Project, splitter: Splitter) -> list[Judged]:
    """A feedback file's rows as judgements that are in no store. The file is used whole or not at all."""
    judged = []
    for row in read_feedback(path):
        if isinstance(row, Problem):
            raise BadInput(f"{path.name}, line {row.line}: {row.reason}.", "Mend or remove the line; no run was started.")
        shown = tuple(str(place) for place in range(len(row.completions)))
        main, also = row.verdicts[0], row.verdicts[1:]
        judgement = Judgement(project.id, row.annotator, shown, main, confidence=row.confidence, also=also)
        judged.append(Judged(judgement, row.prompt, row.completions, splitter(row.prompt)))
    return judged


def _free_title(queue: Queue, algorithm: Algorithm) -> str:
    """The first of “PPO 1”, “PPO 2”, … that no run has: names are how people find results again."""
    taken = {run.title for run in queue.runs()}
    number = next(n for n in range(1, len(taken) + 2) if f"{NAMES[algorithm]} {n}" not in taken)
    return f"{NAMES[algorithm]} {number}"


@functools.cache
def versions() -> dict[str, str]:
    """The versions of what makes a run's result, as far as they are installed. Reads metadata only."""
    found = {}
    for name in _VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class RunResult:
    """What a run that ended has left."""

    run_id: str
    adapter: Path | None
    metrics: dict[str, float | int | None]


def run_result(run: RunFolder) -> RunResult:
    """The result of a run: its adapter, if it got that far, and the measures of its `finished` event."""
    last = next((event for event in reversed(tail_events(run.events)) if isinstance(event, Finished)), None)
    return RunResult(run.id, run.adapter if run.adapter.is_dir() else None, dict(last.metrics) if last else {})
