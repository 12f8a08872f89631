"""What a run's page shows, folded from its events one by one. Qt-free: replaying a file and following it live are the same."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from rlhf_desktop.core import runs
from rlhf_desktop.ui import words
from rlhf_desktop.ui.train.series import Series

LOG_LINES = 2000
_USUALLY = 1.5  # of what an update takes on the average


@dataclass(frozen=True)
class Version:
    """What the model answered after so many steps, and how the reward model marks it where there is one."""

    step: int
    text: str
    score: float | None


@dataclass
class SampleView:
    """One fixed prompt: the starting model's answer, and the answers since, oldest first."""

    prompt: str
    before: str | None
    versions: list[Version] = field(default_factory=list)

    def at(self, step: int | None) -> Version:
        """The answer as it was after `step`; the newest for None."""
        known = [version for version in self.versions if step is None or version.step <= step]
        return known[-1] if known else self.versions[0]

    def add(self, version: Version) -> None:
        """Add an answer; a resumed run repeats steps, and what it says then counts."""
        self.versions = [known for known in self.versions if known.step < version.step] + [version]

    @property
    def first_score(self) -> float | None:
        """How the starting model's answer is marked, if it was."""
        return self.versions[0].score if self.versions[0].step == 0 else None


@dataclass
class RunView:
    """The state of a run's page. `apply` folds events in; nothing else changes it."""

    phase: str = ""
    step: int = 0
    total: int = 0
    eta_s: float | None = None
    step_s: float | None = None  # seconds an update takes
    tokens_per_s: float | None = None
    peak_rss_bytes: int | None = None
    peak_cuda_bytes: int | None = None
    device: str = ""
    dtype: str = ""
    trainable_parameters: int = 0
    first_time: float | None = None
    last_time: float | None = None
    series: dict[str, Series] = field(default_factory=dict)
    samples: dict[str, SampleView] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)  # by code: a repeated warning is shown once, newest words
    log: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES))
    logged: int = 0  # lines ever said, those that `log` has dropped included
    artifact: runs.Artifact | None = None
    failure: runs.Failed | None = None
    finished: runs.Finished | None = None

    def apply(self, events: Iterable[runs.RunEvent]) -> set[str]:
        """Fold events in, in order. Returns the types seen, so that only those parts of the page are drawn again."""
        seen: set[str] = set()
        for event in events:
            self.first_time = event.time if self.first_time is None else self.first_time
            self.last_time = event.time
            getattr(self, f"_on_{event.type}")(event)
            seen.add(event.type)
        return seen

    @property
    def fraction(self) -> float | None:
        """How much is done, 0 to 1; None before the trainer knows."""
        return min(1.0, self.step / self.total) if self.total else None

    @property
    def wall_s(self) -> float:
        """From the first event to the newest."""
        return (self.last_time or 0.0) - (self.first_time or 0.0)

    def headline(self, *, slow: bool = False) -> str:
        """The big line while it runs: the phase, and the time left unless it is so `slow` that nobody knows."""
        phase = (self.phase or "getting ready").capitalize()
        return f"{phase} · {words.duration(self.eta_s)} left" if self.eta_s and not slow else phase

    def obeying(self, word: str) -> str:
        """The big line once something was asked of the run: `word`, such as “Pausing”, and when."""
        if self.finishing:
            return f"{word}: {self.phase}"
        if not self.step_s:
            return f"{word}: before the first update" if not self.step else f"{word}: after this update"
        return f"{word}: after this update, usually within {words.duration(max(1.0, _USUALLY * self.step_s))}"

    @property
    def finishing(self) -> bool:
        """Whether the updates are over and what follows is under way."""
        return self.eta_s is None and bool(self.phase) and self.step > 0

    def facts(self) -> list[tuple[str, str]]:
        """The line of small numbers: name and value, only those that are known."""
        facts = [("Step", f"{self.step:,} of {self.total:,}")] if self.total else []
        if self.tokens_per_s:
            facts.append(("Speed", f"{self.tokens_per_s:,.0f} tokens/s"))
        if self.peak_cuda_bytes:
            facts.append(("Graphics memory, peak", words.size(self.peak_cuda_bytes)))
        if self.peak_rss_bytes:
            facts.append(("Memory, peak", words.size(self.peak_rss_bytes)))
        if self.wall_s >= 1:
            facts.append(("Time", words.duration(self.wall_s)))
        if self.device:
            facts.append(("Device", f"{self.device}, {self.dtype}"))
        return facts

    def _on_started(self, event: runs.Started) -> None:
        self.device = f"{event.device_name} ({event.device})" if event.device_name else event.device
        self.dtype = event.dtype
        self.trainable_parameters = event.trainable_parameters
        self.failure = self.finished = None  # it runs again
        self.phase, self.eta_s = "", None
        begun = "Started" if event.resumed_step is None else f"Resumed from step {event.resumed_step:,}"
        self._say(event, f"{begun} on {event.device} ({event.dtype}), {event.trainable_parameters:,} trainable parameters")

    def _on_progress(self, event: runs.Progress) -> None:
        self.phase, self.step, self.total, self.eta_s = event.phase, event.step, event.total, event.eta_s
        self.step_s = event.step_s or self.step_s
        self.tokens_per_s = event.tokens_per_s or self.tokens_per_s
        self.peak_rss_bytes = event.peak_rss_bytes or self.peak_rss_bytes
        self.peak_cuda_bytes = event.peak_cuda_bytes or self.peak_cuda_bytes

    def _on_metrics(self, event: runs.Metrics) -> None:
        for name, value in event.values.items():
            self.series.setdefault(name, Series()).add(event.step, value)

    def _on_sample(self, event: runs.Sample) -> None:
        sample = self.samples.setdefault(event.prompt, SampleView(event.prompt, event.before))
        sample.before = sample.before if event.before is None else event.before
        sample.add(Version(event.step, event.text, event.score))

    def _on_warning(self, event: runs.Warned) -> None:
        self.warnings[event.code] = event.message
        self._say(event, f"Warning: {event.message}")

    def _on_checkpoint(self, event: runs.Checkpointed) -> None:
        self._say(event, f"Checkpoint at step {event.step:,}")

    def _on_artifact(self, event: runs.Artifact) -> None:
        if event.kind == "report":
            self._say(event, "A report on the result is written")
            return
        self.artifact = event
        self._say(event, "The result is saved")

    def _on_log(self, event: runs.Logged) -> None:
        self._say(event, event.message)

    def _on_error(self, event: runs.Failed) -> None:
        self.failure = event
        self._say(event, f"{event.message} {event.hint} {event.detail}".strip())

    def _on_finished(self, event: runs.Finished) -> None:
        self.finished = event
        self._say(event, f"Ended: {event.outcome}")

    def _say(self, event: runs.Event, text: str) -> None:
        self.log.append(f"{words.moment(event.time)}  {text}")
        self.logged += 1

    def sample_steps(self) -> list[int]:
        """The steps after which answers were looked at, ascending."""
        return sorted({version.step for sample in self.samples.values() for version in sample.versions})

    def marks(self, step: int | None = None) -> dict[str, str]:
        """The prompts whose answers the reward model marks best and worst, in words; empty unless scores differ."""
        scores = {prompt: sample.at(step).score for prompt, sample in self.samples.items()}
        known = {prompt: score for prompt, score in scores.items() if score is not None}
        if len(set(known.values())) < 2:
            return {}
        return {max(known, key=known.__getitem__): "Best score", min(known, key=known.__getitem__): "Lowest score"}


def outcome_sentence(state: runs.RunState, message: str, hint: str, view: RunView, result: str) -> str:
    """How a run stands, in one plain sentence: what happened, what is safe, what to try.

    Args:
        state: The run's state now.
        message: The run's own words about it, and
        hint: its remedy.
        view: What its events said.
        result: What may be said of the result of a run that is done.
    """
    if state == "done":
        return f"The run has finished in {words.duration(view.wall_s)}. {result}".strip()
    step = f" At step {view.step:,} of {view.total:,}." if view.total and state in ("paused", "stopped", "interrupted") else ""
    if state == "failed" and view.failure:
        return f"{view.failure.message} {view.failure.hint}".strip()
    return " ".join(part for part in (f"{message}{step}", hint) if part)
