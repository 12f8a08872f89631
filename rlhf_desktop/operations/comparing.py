"""Runs side by side: what was set differently, what came out, and which is best by something none of them was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

from rlhf_desktop.core.errors import AppError, BadInput
from rlhf_desktop.core.runs import Finished, RunConfig
from rlhf_desktop.feedback.snapshot import read_snapshot
from rlhf_desktop.feedback.split import prompt_hash
from rlhf_desktop.jobs.follow import tail_events
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.jobs.runnotes import title_of

# What held-out prompts say of each algorithm, the first that a run reports: (metric, higher is better, words).
HELD_OUT: dict[str, tuple[tuple[str, bool, str], ...]] = {
    "sft": (("eval/loss", False, "loss on held-out examples"),),
    "reward": (("eval/rewards/accuracies", True, "accuracy on held-out comparisons"),),
    "dpo": (("eval/loss", False, "loss on held-out comparisons"),),
    "kto": (("eval/loss", False, "loss on held-out answers"),),
}
_MEASURES = ("wall_s", "tokens_per_s", "peak_rss_bytes", "peak_cuda_bytes", "trainable_parameters", "examples")


@dataclass(frozen=True)
class SettingRow:
    """One setting in every run, as text; "" where a run does not have it."""

    name: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the runs disagree."""
        return len(set(self.values)) > 1


@dataclass(frozen=True)
class MetricRow:
    """One number in every run; None where a run does not report it."""

    name: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class RunComparison:
    """Runs side by side. `best` is a run id, or None where nothing held out can say; `why` is a sentence either way."""

    runs: tuple[str, ...]
    titles: tuple[str, ...]
    rows: tuple[SettingRow, ...]
    metrics: tuple[MetricRow, ...]
    best: str | None
    criterion: str
    why: str


def compare_runs(runs: Sequence[RunFolder]) -> RunComparison:
    """Line runs up.

    Raises:
        BadInput: fewer than two, or a folder is damaged.
        NotFound: there is no such run.
    """
    if len(runs) < 2:
        raise BadInput("There is nothing to compare.", "Choose two runs or more.")
    configs = [run.config() for run in runs]
    results = [run_result(run) for run in runs]
    best, criterion, why = _best(runs, configs, results)
    return RunComparison(
        runs=tuple(run.id for run in runs),
        titles=tuple(title_of(run, config.title) for run, config in zip(runs, configs, strict=True)),
        rows=_rows(configs),
        metrics=_metrics(results),
        best=best,
        criterion=criterion,
        why=why,
    )


def run_result(run: RunFolder) -> dict[str, float]:
    """The measures of a run that has ended; none while it has not."""
    last = next((event for event in reversed(tail_events(run.events)) if isinstance(event, Finished)), None)
    return {name: float(value) for name, value in (last.metrics if last else {}).items() if value is not None}


def _rows(configs: Sequence[RunConfig]) -> tuple[SettingRow, ...]:
    parts = [_parts(config) for config in configs]
    names = dict.fromkeys(name for part in parts for name in part)
    return tuple(SettingRow(name, tuple(part.get(name, "") for part in parts)) for name in names)


def _parts(config: RunConfig) -> dict[str, str]:
    """Everything a run was given, in the order one reads it."""
    versions = {f"version of {name}": version for name, version in config.versions.items()}
    return {
        "algorithm": config.algorithm,
        "base model": config.base.name,
        "start": config.start.name if config.start else "the base model",
        "reward model": config.reward.name if config.reward else "",
        "feedback": config.data_sha256[:12],
        **{name: str(value) for name, value in config.settings.items()},
        **versions,
    }


def _metrics(results: Sequence[dict[str, float]]) -> tuple[MetricRow, ...]:
    """Held-out measures first, then what it cost."""
    reported = sorted({name for result in results for name in result if name.startswith("eval/")})
    names = [*reported, *(name for name in _MEASURES if any(name in result for result in results))]
    return tuple(MetricRow(name, tuple(result.get(name) for result in results)) for name in names)


def _best(
    runs: Sequence[RunFolder], configs: Sequence[RunConfig], results: Sequence[dict[str, float]]
) -> tuple[str | None, str, str]:
    """The best run's id, by what, and the sentence that says so or why nothing can."""
    blind = "Compare them blind in Evaluate: that is the only fair judge between them."
    if len({config.algorithm for config in configs}) > 1:
        return None, "", f"These runs learn in different ways, so no number of theirs compares them. {blind}"
    if len({config.base.hash for config in configs}) > 1:
        return None, "", f"These runs stand on different base models, so their numbers do not compare. {blind}"
    for metric, higher, words in HELD_OUT.get(configs[0].algorithm, ()):
        if all(metric in result for result in results):
            if not _same_heldout(runs):
                return None, words, "They were measured on different held-out prompts. Train them on the same feedback to compare."
            values = [result[metric] for result in results]
            place = values.index((max if higher else min)(values))
            if values.count(values[place]) > 1:
                return None, words, f"Several are equally good by {words} ({values[place]:.3g})."
            other = sorted(values, reverse=higher)[1]
            why = f"Best by {words}: {values[place]:.3g} against {other:.3g}. A small difference may be chance."
            return runs[place].id, words, why
    return None, "", f"What these runs report comes from practice, not from held-out prompts. {blind}"


def _same_heldout(runs: Sequence[RunFolder]) -> bool:
    try:
        halves = [frozenset(prompt_hash(row.prompt) for row in read_snapshot(run.data) if row.split == "heldout") for run in runs]
    except (AppError, ValueError):
        return False
    return len(set(halves)) == 1
