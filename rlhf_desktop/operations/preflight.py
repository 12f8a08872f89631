"""Before a run is queued: is everything it needs there, and what will it take? Each finding with its remedy."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlhf_desktop.core.encryption import is_encrypted
from rlhf_desktop.core.errors import AppError, BadInput, ModelTrouble, NoSpace, NotEnoughFeedback
from rlhf_desktop.core.measures import ModelCheck, Road, RowSize, TextRow
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import free_disk_bytes
from rlhf_desktop.core.recipes import ALGORITHMS, Algorithm, check_quantization, make_settings
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.core.thoughts import split_thought
from rlhf_desktop.core.words import count, noun
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.feedback.signals import snapshot_rows
from rlhf_desktop.feedback.snapshot import Demonstration, PracticePrompt, RankedAnswers, RatedAnswers, SnapshotRow, with_their_marks
from rlhf_desktop.jobs.adapters import AdapterInfo, list_adapters, resolve_adapter
from rlhf_desktop.jobs.device import Device, Tenant, devices_of, free_bytes, is_taken, known_device, likely_device, probe_device
from rlhf_desktop.jobs.measuring import check_model, known_rates
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations.amounts import amounts
from rlhf_desktop.operations.checkup import Finding
from rlhf_desktop.operations.door import check_teachable, road_of
from rlhf_desktop.operations.estimates import Estimate, estimate
from rlhf_desktop.operations.fitting import fit_findings
from rlhf_desktop.operations.model_shape import model_shape
from rlhf_desktop.operations.outlook import UNTAUGHT, reward_model_of
from rlhf_desktop.operations.projects import check_fits
from rlhf_desktop.operations.training import NO_REWARD, gather, start_run
from rlhf_desktop.operations.workload import RowSizes, RunPlan
from rlhf_desktop.store.database import Store

_CHECKPOINTS = 3  # two that a run keeps, and one being written
_KEPT_BYTES = 12  # float32 copy and two moments of a trained parameter
_LEAST_FREE_BYTES = 256 * 1024**2
_TOKEN_BYTES = 4  # a rough token of text …
_TURN_TOKENS = 5  # … and what a template adds around each message
_HOPELESS = 1.3  # an estimate may be a quarter off; beyond this share of the free memory a run cannot fit


@dataclass(frozen=True)
class Preflight:
    """What was found, and what the run will take as far as that is known. `troubles` are what keeps it from starting."""

    findings: tuple[Finding, ...]
    troubles: tuple[AppError, ...] = ()
    sizes: RowSizes | None = None
    estimate: Estimate | None = None

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """The findings that keep the run from starting."""
        return tuple(finding for finding in self.findings if finding.state == "trouble")

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What can be lived with."""
        return tuple(finding for finding in self.findings if finding.state == "note")

    def raise_first(self) -> None:
        """Raise the first trouble, if there is one."""
        if self.troubles:
            raise self.troubles[0]


@dataclass
class _Findings:
    """Collects findings; a trouble does not hide what comes after it."""

    found: list[Finding] = field(default_factory=list)
    troubles: list[AppError] = field(default_factory=list)

    def look(self, name: str, look: Callable[[], Finding]) -> None:
        try:
            self.found.append(look())
        except AppError as trouble:
            self._trouble(name, trouble)

    def look_all(self, name: str, look: Callable[[], list[Finding]]) -> None:
        try:
            self.found += look()
        except AppError as trouble:
            self._trouble(name, trouble)

    def _trouble(self, name: str, trouble: AppError) -> None:
        self.troubles.append(trouble)
        self.found.append(Finding(name, "trouble", trouble.message, trouble.hint))


def preflight(
    store: Store,
    workspace: Workspace,
    project: Project,
    plan: RunPlan,
    *,
    data_file: Path | None = None,
    prompts_file: Path | None = None,
    chat: Tenant | None = None,
) -> Preflight:
    """Look at everything a run needs. Some seconds the first time; nothing is queued or changed.

    Args:
        store: Where the feedback is.
        workspace: Where the run would be.
        project: Whose feedback.
        plan: What is asked for.
        data_file: Learn from this file instead.
        prompts_file: Practise on these prompts instead.
        chat: The process that gives way to runs.
    """
    seen = _Findings()
    rows: list[SnapshotRow] = []
    seen.look("settings", lambda: _settings(plan))
    seen.look("parts", lambda: _parts(plan))

    def feedback() -> Finding:
        rows.extend(gather(store, project, plan.algorithm, data_file, prompts_file))
        return _feedback(store, project, plan, rows, data_file or prompts_file)

    seen.look("feedback", feedback)
    if plan.reward is not None and not seen.troubles:
        seen.found.append(_reward(store, project, plan.reward))
    if not seen.troubles:
        seen.look("family", lambda: Finding("family", "well", check_teachable(workspace, plan.base)))
    if seen.troubles:
        return Preflight(tuple(seen.found), tuple(seen.troubles))
    seen.found.append(_split(rows))
    seen.look("disk", lambda: _disk(workspace, plan))
    if is_encrypted(workspace.root):
        seen.found.append(Finding("encryption", "note", *PLAIN_MEANWHILE))
    checked, elements = ModelCheck(has_template=False), [row for row, _ in with_their_marks(rows)]

    def template() -> Finding:
        nonlocal checked
        checked = check_model(plan.base, [as_text_row(row) for row in elements])
        return _template(plan, checked)

    seen.look("template", template)
    if not seen.troubles:
        seen.look_all("thoughts", lambda: _thoughts(plan, checked))
        seen.look("end of turn", lambda: _end_of_turn(plan.base, checked))
        seen.look_all("rows", lambda: _fit(plan, rows, elements, checked))
    sizes = row_sizes(elements, checked)
    found = _estimate(plan, sizes, chat or Tenant(), seen, road_of(workspace, plan.base)) if not seen.troubles else None
    return Preflight(tuple(seen.found), tuple(seen.troubles), sizes, found)


def refuse_early(
    store: Store,
    workspace: Workspace,
    project: Project,
    algorithm: Algorithm,
    settings: Mapping[str, Any],
    *,
    reward: str | None = None,
    data_file: Path | None = None,
    prompts_file: Path | None = None,
) -> None:
    """Refuse what no model is needed to refuse: before the first one is prepared, which takes minutes. The preflight looks again.

    Args:
        store: Where the feedback is.
        workspace: Where the reward models are.
        project: Whose feedback.
        algorithm: Which trainer.
        settings: What differs from its defaults.
        reward: The reward model asked for, by name; None for the project's newest.
        data_file: Learn from this file instead.
        prompts_file: Practise on these prompts instead.

    Raises:
        AppError: as the preflight would.
    """
    check_quantization(make_settings(algorithm, dict(settings)).quantization)
    if algorithm == "ppo" and resolve_adapter(workspace, reward, "reward") is None and not _rewards(workspace, project):
        raise BadInput(*NO_REWARD)
    gather(store, project, algorithm, data_file, prompts_file)


def _rewards(workspace: Workspace, project: Project) -> list[AdapterInfo]:
    return [info for info in list_adapters(workspace, "reward") if info.project_id == project.id]


def start_checked(
    store: Store,
    queue: Queue,
    project: Project,
    plan: RunPlan,
    *,
    title: str = "",
    data_file: Path | None = None,
    prompts_file: Path | None = None,
    chat: Tenant | None = None,
    on_look: Callable[[Preflight], None] | None = None,
) -> RunFolder:
    """Queue a run once nothing stands in its way: how the window, the command line and the demo start one.

    Args:
        store: Where the feedback is.
        queue: Where the run goes.
        project: Whose feedback and split.
        plan: What is asked for.
        title: What the result is called; "" makes one up.
        data_file: Learn from this file instead.
        prompts_file: Practise on these prompts instead.
        chat: The process that gives way to runs.
        on_look: Told what was found, before the run is queued.

    Raises:
        AppError: the first trouble the look has found, or one of `start_run`; nothing was queued.
    """
    found = preflight(store, queue.workspace, project, plan, data_file=data_file, prompts_file=prompts_file, chat=chat)
    found.raise_first()
    if on_look is not None:
        on_look(found)
    return start_run(
        store,
        queue,
        project,
        plan.algorithm,
        base=plan.base,
        title=title,
        start=plan.start,
        reward=plan.reward,
        settings=plan.settings,
        data_file=data_file,
        prompts_file=prompts_file,
        foreseen_bytes=found.estimate.peak_bytes if found.estimate else None,
    )


def _settings(plan: RunPlan) -> Finding:
    check_quantization(make_settings(plan.algorithm, plan.settings).quantization)
    return Finding("settings", "well", "All settings are within their bounds.")


def _parts(plan: RunPlan) -> Finding:
    if plan.algorithm == "ppo" and plan.reward is None:
        raise BadInput(*NO_REWARD)
    for adapter in (plan.start, plan.reward):
        if adapter is not None:
            check_fits(adapter, plan.base)
            if not Path(adapter.path).is_dir():
                raise ModelTrouble(f"The folder of “{adapter.name}” is gone.", "Put it back, or choose another adapter.")
    return Finding("parts", "well", "The model and its adapters fit each other.")


def _feedback(store: Store, project: Project, plan: RunPlan, rows: Sequence[SnapshotRow], file: Path | None) -> Finding:
    trained = sum(row.split == "train" for row in rows)
    if file is not None:
        return Finding("feedback", "well", f"{count(trained, 'item')} of {file.name} to learn from.")
    there = amounts(store, project)[plan.algorithm]
    said = f"{noun(there.have, 'There is', 'There are')} {there.sentence}."
    if not there.worth_it:
        return Finding("feedback", "note", said, "It can start; more would make the result surer.")
    return Finding("feedback", "well", said)


def _reward(store: Store, project: Project, reward: AdapterRef) -> Finding:
    """Whether the reward model is worth practising against. It may be chosen all the same."""
    found = reward_model_of(store, project, reward, amounts(store, project)["reward"])
    said = found.agreement.said_of("the reward model")
    if found.agreement.above_chance:
        return Finding("reward model", "well", said)
    return Finding("reward model", "note", said, found.advice)


def _split(rows: Sequence[SnapshotRow]) -> Finding:
    held = sum(row.split == "heldout" for row in rows)
    if held == 0 and any(not isinstance(row, PracticePrompt) for row in rows):
        said = "Nothing is held out, so the run cannot say how well it does on what it has not seen."
        return Finding("split", "note", said, "Judge more prompts: one in seven is kept aside by itself.")
    return Finding("split", "well", f"{count(held, 'item is', 'items are')} held out and will not be trained on.")


def _template(plan: RunPlan, checked: ModelCheck) -> Finding:
    base = plan.base
    if refusal := checked.template_refusal(base.name):
        raise ModelTrouble(refusal, "Choose a model whose chat template works here.")
    if not checked.has_template:
        said = UNTAUGHT if plan.algorithm != "sft" and plan.start is None else f"“{base.name}” has never been taught to answer."
        remedy = "It has no chat template, so a plain one (“User: … Assistant: …”) is used; an instruct model talks better."
        return Finding("template", "note", said, remedy)
    if checked.system_trouble:
        return Finding("template", "note", checked.system_trouble, "Leave system messages out with this model.")
    return Finding("template", "well", "The chat template works.")


def _thoughts(plan: RunPlan, checked: ModelCheck) -> list[Finding]:
    """What becomes of a model's thoughts; nothing is said of one that has none."""
    name = plan.base.name
    if checked.thinking == "free" and plan.algorithm == "ppo":
        said = f"“{name}” thinks first whenever it likes, and its template cannot leave that out: it would practise its thoughts."
        raise ModelTrouble(said, "Teach by example, or learn from your comparisons with DPO.")
    if checked.thinking == "always":
        said = f"“{name}” always thinks before it answers; here it learns and practises answers after an empty thought."
        return [Finding("thoughts", "note", said, "In Chat it goes on thinking. A model that can leave it out learns better.")]
    well = Finding("thoughts", "well", "Answers are learned as the model gives them without thinking first.")
    return [well] if checked.thinking == "switch" else []


def _end_of_turn(base: ModelRef, checked: ModelCheck) -> Finding:
    if refusal := checked.end_refusal(base.name):
        raise ModelTrouble(refusal, "Choose an instruct or chat model.")
    return Finding("end of turn", "well", f"Answers are learned with their end ({checked.end_token}).")


def _fit(plan: RunPlan, rows: Sequence[SnapshotRow], measured: Sequence[SnapshotRow], checked: ModelCheck) -> list[Finding]:
    """Which rows are cut or set aside; their numbers are those of the run's data.jsonl."""
    numbers = {id(row): number for number, row in enumerate(rows, 1)}
    numbered = [(numbers[id(row)], size) for row, size in zip(measured, checked.sizes, strict=False)]
    ranked = (row for row in measured if isinstance(row, RankedAnswers))
    alike = [numbers[id(row)] for row in ranked if len({split_thought(c.text)[1] for c in row.completions}) == 1]
    return fit_findings(numbered, make_settings(plan.algorithm, plan.settings), alike)


def as_text_row(row: SnapshotRow) -> TextRow:
    """A row's prompt and the answers learned with it, whatever its form."""
    if isinstance(row, Demonstration):
        return TextRow(prompt=row.prompt, answers=[row.completion])
    if isinstance(row, RankedAnswers | RatedAnswers):
        return TextRow(prompt=row.prompt, answers=[part.text for part in row.completions])
    return TextRow(prompt=row.prompt, answers=[] if isinstance(row, PracticePrompt) else [row.text])


def row_sizes(rows: Sequence[SnapshotRow], checked: ModelCheck) -> RowSizes | None:
    """The measured rows by their half of the split; None when they were not measured."""
    if len(checked.sizes) != len(rows):
        return None
    pairs = list(zip(rows, checked.sizes, strict=True))
    train, heldout = (tuple(size for row, size in pairs if row.split == half) for half in ("train", "heldout"))
    return RowSizes(train, heldout)


def rough_estimates(
    store: Store,
    workspace: Workspace,
    project: Project,
    base: ModelRef,
    reward: AdapterRef | None = None,
    chat: Tenant | None = None,
) -> dict[Algorithm, Estimate]:
    """What a run of each kind with its defaults would take, for those that could start; none before this computer is known.

    Nothing is asked of a worker: tokens are guessed from the texts' lengths. The preflight counts them.

    Args:
        store: Where the feedback is.
        workspace: Where it is written down how the trainers take this model.
        project: Whose feedback.
        base: The model to train on.
        reward: PPO's reward model; without one there is no estimate for PPO.
        chat: The process that gives way to runs.
    """
    known, found = known_device(), {}
    if known is None:
        return {}
    try:
        device = likely_device(devices_of(known), ask=False)
    except AppError:
        return {}  # the one that is wanted is not there; the preflight says so
    judged, rates, road = store.judged(project.id), known_rates(base, "auto", device), road_of(workspace, base)
    free = free_bytes(device, ask=False) + (chat.holds(device) if chat else 0)  # as the preflight counts it
    for algorithm in ALGORITHMS:
        if algorithm == "ppo" and reward is None:
            continue
        plan = RunPlan(algorithm, base, reward=reward if algorithm == "ppo" else None)
        with contextlib.suppress(NotEnoughFeedback, ModelTrouble):
            rows = store.snapshot_rows(project.id, "ppo") if algorithm == "ppo" else snapshot_rows(algorithm, judged)
            found[algorithm] = estimate(plan, _rough_sizes(rows), device.facts, rates, free_bytes=free, road=road)
    return found


def _rough_sizes(rows: Sequence[SnapshotRow]) -> RowSizes:
    halves: dict[str, list[RowSize]] = {"train": [], "heldout": []}
    for row, _ in with_their_marks(rows):
        text = as_text_row(row)
        prompt = sum(_rough_tokens(message["content"]) for message in text.prompt)
        halves[row.split].append(RowSize(prompt=prompt, answers=[_rough_tokens(answer) for answer in text.answers]))
    return RowSizes(tuple(halves["train"]), tuple(halves["heldout"]))


def _rough_tokens(text: str) -> int:
    return len(text.encode()) // _TOKEN_BYTES + _TURN_TOKENS


def _estimate(plan: RunPlan, sizes: RowSizes | None, chat: Tenant, seen: _Findings, road: Road) -> Estimate | None:
    """What the run takes, and whether that is free. A device that cannot be asked is a trouble like any other."""
    found: list[Estimate] = []

    def memory() -> Finding:
        assert sizes is not None
        device = likely_device(devices_of(probe_device()))
        rates = known_rates(plan.base, str(plan.settings.get("dtype", "auto")), device)
        room = _room(device, chat)
        found.append(estimate(plan, sizes, device.facts, rates, free_bytes=room.free, waits=room.waits, road=road))
        return _memory(found[0], room)

    if sizes is not None:
        seen.look("memory", memory)
    return found[0] if found else None


@dataclass(frozen=True)
class _Room:
    """The memory a run will find on its device: what is free there once chat has given way, or all of it where it has to wait."""

    free: int
    from_chat: int = 0
    waits: bool = False


def _room(device: Device, chat: Tenant) -> _Room:
    if device.is_card and is_taken(device):
        return _Room(device.total_bytes, waits=True)
    held = chat.holds(device)
    return _Room(free_bytes(device) + held, held)


def _memory(found: Estimate, room: _Room) -> Finding:
    if found.fits:
        away = " Chat’s model leaves memory meanwhile." if found.peak_bytes > room.free - room.from_chat else ""
        return Finding("memory", "well", found.sentence + away)
    said = f"The run needs about {found.peak_bytes / 1e9:.1f} GB of memory, and {found.free_words}."
    if found.peak_bytes > _HOPELESS * room.free:
        raise NoSpace(said, "Choose a smaller model, lower max_length, or close other programs.")
    return Finding("memory", "note", said, "Close other programs first, or lower max_length.")


PLAIN_MEANWHILE = (
    "Until this run has ended, what it learns from and writes lies in its folder without encryption.",
    "It is encrypted again by itself when the run ends; the result's weights are not.",
)


def _disk(workspace: Workspace, plan: RunPlan) -> Finding:
    """Room for the checkpoints and the result."""
    settings = make_settings(plan.algorithm, plan.settings)
    trained = getattr(settings, "ensemble", 1) * model_shape(plan.base).adapter_parameters(settings.lora_rank)
    need = trained * (_KEPT_BYTES * _CHECKPOINTS + 4) + _LEAST_FREE_BYTES
    free = free_disk_bytes(workspace.root)
    said = f"The run keeps up to {need / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free on the disk."
    if free < need:
        raise NoSpace(said, "Free some space, or lower lora_rank.")
    return Finding("disk", "well", said)
