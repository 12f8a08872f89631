"""The trainer's side of the run folder, and the loop every algorithm goes through: step, report, obey, checkpoint, finish."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from torch import Tensor

from rlhf_desktop.core.clock import asleep_s, awake_s
from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.files import append_jsonl, fsync_dir, read_jsonl, sha256_file
from rlhf_desktop.core.platform import peak_rss_bytes, remove_tree, rename
from rlhf_desktop.core.recipes import CommonSettings, Dtype, make_settings
from rlhf_desktop.core.runs import RunConfig
from rlhf_desktop.feedback.snapshot import SnapshotRow, read_snapshot
from rlhf_desktop.inference import device as places
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.device import peak_bytes
from rlhf_desktop.training import checkpoint
from rlhf_desktop.training.checkpoint import Checkpoint
from rlhf_desktop.training.cohort import Cohort
from rlhf_desktop.training.memory import Budget

Outcome = Literal["done", "stopped", "paused", "cancelled"]
CHECKPOINT_EVERY_S = 60.0
_SLEPT_S = 60.0  # worth a line in the log


class RunFiles:
    """A run folder as its trainer sees it: reads the frozen config, data and control; writes events, checkpoints and the result.

    Of several processes that share a run, the first one writes and listens; the others only read.
    """

    def __init__(self, folder: Path, cohort: Cohort | None = None) -> None:
        self.folder = folder
        self.cohort = cohort or Cohort()
        self.config = RunConfig.model_validate_json((folder / "run.json").read_text("utf-8"))
        self.settings: CommonSettings = make_settings(self.config.algorithm, self.config.settings)
        self._events = folder / "events.jsonl"
        self._wider: Dtype | None = None  # when a narrower number format has overflown
        if self.cohort.leads:
            self._repair_torn_event()
        self._seq = sum(1 for _ in read_jsonl(self._events))

    def _repair_torn_event(self) -> None:
        """End a last line that a killed worker left half-written, so that ours starts on its own."""
        if self._events.exists() and (raw := self._events.read_bytes()) and not raw.endswith(b"\n"):
            whole = raw.rfind(b"\n") + 1
            os.truncate(self._events, whole)

    @property
    def dtype(self) -> Dtype:
        """The number format: a run that goes on keeps the one it began with, whatever "auto" would choose by now."""
        begun = [event["dtype"] for event in read_jsonl(self._events) if event["type"] == "started"]
        return self.cohort.agree(self._wider or (begun[-1] if begun else self.settings.dtype))

    def widen(self) -> None:
        """Go on in float32, from the last checkpoint if there is one, and say so."""
        self._wider = "float32"
        self.emit("warning", code="dtype", message="This model's numbers are too large for float16: the run goes on in float32.")

    @property
    def started(self) -> Mapping[str, Any] | None:
        """The event with which the run first began; a run that goes on keeps what was chosen then."""
        return next((event for event in read_jsonl(self._events) if event["type"] == "started"), None)

    def rows(self) -> list[SnapshotRow]:
        """The frozen feedback.

        Raises:
            BadInput: data.jsonl is not the file the run was queued with.
        """
        path = self.folder / "data.jsonl"
        if sha256_file(path) != self.config.data_sha256:
            raise BadInput(
                "The run's copy of the feedback has changed since it was queued.", "Start a new run: your feedback is safe."
            )
        return read_snapshot(path)

    def emit(self, event: str, /, **fields: Any) -> None:
        """Append one event."""
        if not self.cohort.leads:
            return
        append_jsonl(self._events, {"v": 1, "seq": self._seq, "time": time.time(), "type": event, **fields})
        self._seq += 1

    def say_fewer(self, rows: int) -> None:
        """Say that memory has run out while answers were written."""
        self.emit("warning", code="memory", message=f"Memory ran out: answers are written {rows} at a time, a little slower.")

    def beat(self) -> None:
        """Show that the worker is alive and moving."""
        if self.cohort.leads:
            (self.folder / "heartbeat").touch()

    def wanted(self) -> Literal["pause", "stop", "cancel"] | None:
        """What the user asked for last, if it is not to go on."""
        action = None
        for row in read_jsonl(self.folder / "control.jsonl"):
            action = row.get("action")
        action = self.cohort.agree(action)
        return action if action in ("pause", "stop", "cancel") else None

    def publish(self, write: "Writer", kind: str, card: str) -> None:
        """Write the result and its model card under a temporary name and rename them to adapter/."""
        if not self.cohort.leads:
            return
        final, temporary = self.folder / "adapter", self.folder / ".adapter.tmp"
        remove_tree(temporary, ignore_errors=True)
        temporary.mkdir()
        write(temporary)
        (temporary / "README.md").write_text(card, "utf-8", newline="\n")
        fsync_dir(temporary)
        remove_tree(final, ignore_errors=True)
        rename(temporary, final)
        fsync_dir(self.folder)
        self.emit("artifact", path="adapter", kind=kind)

    def drop_work(self) -> None:
        """Delete the checkpoints of a cancelled run. Its folder stays, as a record that it was."""
        if self.cohort.leads:
            remove_tree(self.folder / "checkpoints", ignore_errors=True)


class Writer(Protocol):
    """Writes a result into an existing empty folder."""

    def __call__(self, folder: Path) -> None:  # noqa: D102
        ...


@dataclass
class Counts:
    """What a run has processed so far; kept through pauses. Times are seconds, loading and tokenising excluded."""

    examples: int = 0
    tokens: int = 0
    wall_s: float = 0.0
    extra: dict[str, float] = field(default_factory=dict)


class Trainer(Protocol):
    """One algorithm. `step` is one update (for PPO: one batch of answers); everything else is bookkeeping."""

    host: AdapterHost
    budget: Budget
    kind: Literal["policy", "reward"]
    total_steps: int
    eval_every: int
    phase: str
    trainable_parameters: int
    counts: Counts

    @property
    def stop_reason(self) -> str:
        """Why the run should end early, in one plain sentence; empty while all is well."""

    def prepare(self, resumed: bool) -> None:
        """Work before the first update that counts as training time: reference passes, baselines."""

    def step(self, index: int) -> dict[str, float]:
        """Do update `index` and return its metrics."""

    def evaluate(self, step: int) -> dict[str, float]:
        """Held-out metrics and samples after `step` updates."""

    def tensors(self) -> dict[str, Tensor]:
        """State for a checkpoint."""

    def extras(self) -> dict[str, Any]:
        """The rest of the state, as JSON."""

    def load(self, tensors: Mapping[str, Tensor], extras: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""

    def write_result(self, folder: Path) -> None:
        """Write the adapter."""


def run_loop(run: RunFiles, trainer: Trainer, device: str, dtype: str) -> Outcome:
    """Train to the end, to a pause or to a stop, from the newest verified checkpoint when there is one."""
    start = _restore(run, trainer)
    run.emit(
        "started",
        pid=os.getpid(),
        device=device,
        device_name=places.name(trainer.host.base.device),
        device_uuid=places.uuid(trainer.host.base.device),
        dtype=dtype,
        resumed_step=start or None,
        trainable_parameters=trainer.trainable_parameters,
        micro_batch_tokens=trainer.budget.plan.tokens,
        gradient_checkpointing=trainer.budget.plan.checkpointing,
    )
    run.emit("log", message=trainer.budget.plan.sentence)
    clock = _Clock(trainer.counts)
    _enter(run, trainer, start, "getting ready")
    trainer.prepare(start > 0)
    metrics: dict[str, float] = {}
    saved_at = time.monotonic()
    step = start
    outcome: Outcome = "done"
    while step < trainer.total_steps:
        wanted = run.wanted()
        if wanted == "pause":
            _enter(run, trainer, step, "saving a checkpoint")
            _save(run, trainer, step, clock)
            return _finish(run, trainer, "paused", clock, {})
        if wanted == "cancel":
            run.drop_work()
            return _finish(run, trainer, "cancelled", clock, {})
        if wanted == "stop":
            outcome = "stopped"
            break
        metrics = trainer.step(step)
        step += 1
        run.beat()
        clock.note_sleep(run)
        if step % trainer.eval_every == 0 and step < trainer.total_steps:
            metrics |= trainer.evaluate(step)
        _report(run, trainer, step, start, metrics, clock)
        if trainer.stop_reason:
            run.emit("warning", code="watchdog", message=trainer.stop_reason)
            break
        if time.monotonic() - saved_at > CHECKPOINT_EVERY_S or step % max(1, trainer.total_steps // 10) == 0:
            _save(run, trainer, step, clock)
            saved_at = time.monotonic()
    _enter(run, trainer, step, "measuring the result")
    if final := trainer.evaluate(step):
        run.emit("metrics", step=step, values=_finite(final))
    measures = {**metrics, **final}
    _enter(run, trainer, step, "saving the result")
    run.publish(trainer.write_result, trainer.kind, model_card(run.config, _finite(measures)))
    return _finish(run, trainer, outcome, clock, measures)


class _Clock:
    """Seconds of training, carried over from before a pause. Those in which the computer slept do not count."""

    def __init__(self, counts: Counts) -> None:
        self.before_s = counts.wall_s
        self.start, self.slept_s = awake_s(), asleep_s()
        self.tokens_before = counts.tokens

    def here_s(self) -> float:
        """Seconds since this process began to train."""
        return max(awake_s() - self.start, 1e-3)  # a coarse clock may not have moved yet

    def total_s(self) -> float:
        """Seconds including earlier parts of the run."""
        return self.before_s + self.here_s()

    def note_sleep(self, run: RunFiles) -> None:
        """Tell the log when the computer has slept."""
        slept_s = asleep_s() - self.slept_s
        if slept_s > _SLEPT_S:
            run.emit("log", message=f"The computer slept for {slept_s / 60:,.0f} min, and the run went on when it woke.")
            self.slept_s += slept_s


def _restore(run: RunFiles, trainer: Trainer) -> int:
    found, damaged = checkpoint.newest(run.folder / "checkpoints")
    for name in damaged:
        run.emit("warning", code="checkpoint", message=f"Checkpoint {name} is damaged; an earlier one is used.")
    if found is None:
        return 0
    counts = found.extras.pop("counts")
    trainer.counts.examples, trainer.counts.tokens, trainer.counts.wall_s = counts["examples"], counts["tokens"], counts["wall_s"]
    trainer.load(found.tensors, found.extras)
    return found.step


def _save(run: RunFiles, trainer: Trainer, step: int, clock: _Clock) -> None:
    if not run.cohort.leads:
        return
    counts = {"examples": trainer.counts.examples, "tokens": trainer.counts.tokens, "wall_s": clock.total_s()}
    path = checkpoint.save(run.folder / "checkpoints", Checkpoint(step, trainer.tensors(), {**trainer.extras(), "counts": counts}))
    run.emit("checkpoint", step=step, name=path.name)


def _enter(run: RunFiles, trainer: Trainer, step: int, phase: str) -> None:
    """Say what is done beside the updates: it takes its time, and nobody knows how much."""
    run.beat()
    run.emit("progress", phase=phase, step=step, total=trainer.total_steps)


def _report(run: RunFiles, trainer: Trainer, step: int, start: int, metrics: dict[str, float], clock: _Clock) -> None:
    run.emit("metrics", step=step, values=_finite(metrics))
    run.emit(
        "progress",
        phase=trainer.phase,
        step=step,
        total=trainer.total_steps,
        eta_s=clock.here_s() / (step - start) * (trainer.total_steps - step),
        tokens_per_s=(trainer.counts.tokens - clock.tokens_before) / clock.here_s(),
        peak_rss_bytes=peak_rss_bytes(),
        peak_cuda_bytes=peak_bytes(trainer.host.base.device),
    )


def _finish(run: RunFiles, trainer: Trainer, outcome: Outcome, clock: _Clock, last: dict[str, float]) -> Outcome:
    wall_s = clock.total_s()
    run.emit(
        "finished",
        outcome=outcome,
        metrics={
            "examples": trainer.counts.examples,
            "tokens": trainer.counts.tokens,
            "wall_s": wall_s,
            "examples_per_s": trainer.counts.examples / wall_s,
            "tokens_per_s": trainer.counts.tokens / wall_s,
            "trainable_parameters": trainer.trainable_parameters,
            "peak_rss_bytes": peak_rss_bytes(),
            "peak_cuda_bytes": peak_bytes(trainer.host.base.device),
            **trainer.counts.extra,
            **_finite(last),
        },
    )
    return outcome


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    """JSON has no NaN: a metric that is not a number is left out."""
    return {name: float(value) for name, value in values.items() if value == value and abs(value) != float("inf")}


def model_card(config: RunConfig, metrics: Mapping[str, Any]) -> str:
    """README.md of the result: what it is, from what, and how it was made."""
    front = {"base_model": config.base.name, "library_name": "peft", "tags": ["rlhf-desktop", config.algorithm]}
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in front.items()), "---", "", f"# {config.title}", ""]
    lines += [f"Made by RLHF Desktop with `{config.algorithm}` on {config.created}.", ""]
    lines += [f"Base model: {config.base.name}, identity `{config.base.hash}`. It fits no other file of the same model.", ""]
    if config.start:
        lines += [f"Started from the adapter “{config.start.name}”, which is contained in this one.", ""]
    lines += ["| setting | value |", "|---|---|", *(f"| {key} | {value} |" for key, value in config.settings.items()), ""]
    lines += ["| measure | value |", "|---|---|", *(f"| {key} | {value} |" for key, value in metrics.items()), ""]
    return "\n".join(lines)
