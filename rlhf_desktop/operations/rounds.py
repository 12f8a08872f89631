"""The loop as a loop: feedback → train → evaluate → adopt, round after round, and the one next step.

A round ends when a model made in it is adopted. Adopting an older model, or the base again, is a step back and ends nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rlhf_desktop.core.recipes import Algorithm
from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.evaluation.confidence import WinInterval, about
from rlhf_desktop.evaluation.learning import TYPICAL_CEILING, CurvePoint, LearningCurve, fit_curve
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.feedback.quality import self_agreement
from rlhf_desktop.feedback.rankings import pairs
from rlhf_desktop.feedback.snapshot import RankedAnswers, read_snapshot
from rlhf_desktop.jobs.adapters import weights_hash
from rlhf_desktop.jobs.queue import Queue, RunSummary
from rlhf_desktop.jobs.runnotes import run_notes
from rlhf_desktop.operations.blind_results import EvaluationSummary, evaluations
from rlhf_desktop.operations.training import lineage, readiness
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.evaluations import Adoption

FIRST_TRAINING = 60  # judgements before a first training is worth its time
FIRST_EXAMPLES = 20  # written answers before the model is taught by them
NEXT_TRAINING = 30  # further ones before the next
ENOUGH_CAME_BACK = 12  # items judged twice before one's own agreement is a bar for a model
LOWEST_CEILING = 0.6  # who agrees with themselves no more than by chance has too few such items to tell
END_OF_TIME = "9999"
_LIVE = ("queued", "starting", "running")

StepKind = Literal["judge", "train", "wait", "evaluate", "adopt", "chat"]


@dataclass(frozen=True)
class Round:
    """One turn of the loop. `adopted` is what ended it; the last round is still open."""

    number: int
    began: str  # ISO 8601; "" for the first
    judgements: int
    runs: tuple[RunSummary, ...]  # newest first
    evaluations: tuple[EvaluationSummary, ...]  # newest first
    adopted: Adoption | None

    @property
    def open(self) -> bool:
        """Whether it is the one under way."""
        return self.adopted is None


@dataclass(frozen=True)
class NextStep:
    """The one thing to do next, and the room where it is done."""

    kind: StepKind
    sentence: str
    room: str
    run_id: str | None = None
    evaluation_id: str | None = None


@dataclass(frozen=True)
class LearningHint:
    """How far the feedback goes, and what more of it would buy. `curve` is (comparisons, foreseen accuracy)."""

    have: int
    suggested: int
    sentence: str
    curve: tuple[tuple[int, float], ...]
    points: tuple[CurvePoint, ...]  # what earlier runs reached


# --- adopting -----------------------------------------------------------------------------------------------------------------


def adopt(store: Store, project: Project, adapter: AdapterRef | None, *, who: str, evaluation_id: str | None = None) -> Adoption:
    """Make an adapter (None: the base as it is) the one the project talks to, and remember when and why.

    Rolling back is the same: adopt an older one. From now on new alternatives come from it.
    """
    run_id = None
    if adapter is not None:
        runs = store.path.parent / "runs"
        run_id = next((config.run_id for config in lineage(runs, adapter)), None)
    made = Adoption(
        project.id,
        who,
        adapter.name if adapter else None,
        adapter.hash if adapter else None,
        adapter.path if adapter else None,
        run_id,
        evaluation_id,
    )
    with store.connection.transaction():
        store.evaluations.adopt(made)
        store.settings.set("adapter", adapter.path if adapter else None, project.id)
    return made


def adoptions(store: Store, project: Project) -> list[Adoption]:
    """What a project has adopted, newest first."""
    return store.evaluations.adoptions(project.id)


# --- the rounds ---------------------------------------------------------------------------------------------------------------


def rounds(store: Store, queue: Queue, project: Project) -> list[Round]:
    """A project's rounds, oldest first; the last one is under way."""
    runs = [run for run in queue.runs() if run.project_id == project.id]
    judged = evaluations(store, project)
    found: list[Round] = []
    since = ""
    for adoption in [*_closing(adoptions(store, project), runs), None]:
        until = adoption.created_at if adoption else END_OF_TIME
        found.append(
            Round(
                number=len(found) + 1,
                began=since,
                judgements=store.evaluations.feedback_between(project.id, since, until),
                runs=tuple(run for run in runs if since < run.created <= until),
                evaluations=tuple(e for e in judged if since < e.evaluation.created_at <= until),
                adopted=adoption,
            )
        )
        since = until
    return found


def _closing(adopted: Sequence[Adoption], runs: Sequence[RunSummary]) -> list[Adoption]:
    """The adoptions that ended a round, oldest first: of a model that was made since the round began."""
    made = {run.id: run.created for run in runs}
    closing: list[Adoption] = []
    for adoption in reversed(adopted):
        began = closing[-1].created_at if closing else ""
        if adoption.run_id is not None and made.get(adoption.run_id, "") > began:
            closing.append(adoption)
    return closing


def next_step(store: Store, queue: Queue, project: Project) -> NextStep:
    """What to do now. One suggestion; everything else stays possible."""
    history = rounds(store, queue, project)
    now = history[-1]
    live = next((run for run in reversed(now.runs) if run.state in _LIVE), None)
    if live is not None:
        return NextStep("wait", f"“{live.title}” is training", "train", run_id=live.id)
    newest = next((run for run in now.runs if run.state == "done" and run.algorithm != "reward" and not _put_away(run)), None)
    if newest is None:
        return _feed_or_train(store, project, history)
    found = _evaluation_of(newest, now.evaluations)
    return _after_training(newest, found)


def _put_away(run: RunSummary) -> bool:
    return run_notes(run.folder).archived


def _feed_or_train(store: Store, project: Project, history: Sequence[Round]) -> NextStep:
    now = history[-1]
    trained = now.runs[0].created if now.runs else now.began
    fresh = store.evaluations.feedback_between(project.id, trained, END_OF_TIME)
    if now.judgements == 0 and len(history) == 1:
        return NextStep("judge", "Next: compare a few answers", "chat")
    if now.runs and now.runs[0].algorithm == "reward" and now.runs[0].state == "done":
        return NextStep("train", "Next: improve with PPO against what you prefer", "train", run_id=now.runs[0].id)
    written = store.standing.counts(project.id).get("demonstration", 0)
    if len(history) == 1 and written >= FIRST_EXAMPLES and not any(run.algorithm == "sft" for run in now.runs):
        return NextStep("train", f"Next: teach the model your {written} examples", "train")
    needed = FIRST_TRAINING if len(history) == 1 else NEXT_TRAINING
    if fresh < needed:
        more = needed - fresh
        of = "" if len(history) == 1 else " of the adopted model's answers"
        return NextStep("judge", f"Next: {more} more {'judgement' if more == 1 else 'judgements'}{of}, then train", "chat")
    return NextStep("train", "Next: train on your feedback", "train")


def _evaluation_of(run: RunSummary, found: Sequence[EvaluationSummary]) -> EvaluationSummary | None:
    """The newest blind evaluation in which a run's result was the new model."""
    made = weights_hash(run.folder.adapter) if run.folder.adapter.is_dir() else ""
    return next((e for e in found if made and e.evaluation.new.adapter_hash == made), None)


def _after_training(run: RunSummary, found: EvaluationSummary | None) -> NextStep:
    if found is None:
        return NextStep("evaluate", f"Next: compare “{run.title}” blind with what you have", "evaluate", run_id=run.id)
    key, win = found.evaluation.id, found.win
    if win.decision == "better":
        return NextStep("adopt", f"Next: adopt “{run.title}”, it is better", "evaluate", run.id, key)
    if win.decision == "worse":
        return NextStep("judge", f"“{run.title}” is worse. Next: judge more answers, then train again", "chat", run.id, key)
    return NextStep("evaluate", f"Next: {_more_words(win, found)}", "evaluate", run.id, key)


def _more_words(win: WinInterval, found: EvaluationSummary) -> str:
    left = found.total - found.judged
    if left > 0:
        return f"judge {left} more blind {'pair' if left == 1 else 'pairs'}"
    if win.more is None:
        return "the two models are close; judge more answers and train again"
    return f"about {about(win.more)} more blind pairs decide"


# --- is more feedback worth it? -----------------------------------------------------------------------------------------------


def learning_hint(store: Store, queue: Queue, project: Project, algorithm: Algorithm) -> LearningHint:
    """“140 of about 300 comparisons; 100 more would buy about 2 points”, from what earlier runs reached."""
    ready = readiness(store, project)[algorithm]
    if algorithm in ("sft", "ppo"):
        return LearningHint(ready.have, ready.suggested, ready.sentence, (), ())
    points = tuple(_points(queue, project))
    curve = fit_curve(points, _ceiling(store, project))
    suggested = max(ready.suggested, curve.enough)
    line = tuple((n, curve.accuracy(n)) for n in range(0, max(suggested, ready.have) + 101, 20))
    return LearningHint(ready.have, suggested, _hint_words(ready.have, suggested, curve), line, points)


def _ceiling(store: Store, project: Project) -> float:
    """What no model can be expected to exceed: how often people agree with themselves, once enough has come back to tell."""
    own = self_agreement(store.judgements.came_back(project.id))
    return max(own.value, LOWEST_CEILING) if own.n >= ENOUGH_CAME_BACK else TYPICAL_CEILING


def _points(queue: Queue, project: Project) -> list[CurvePoint]:
    """What the project's reward models reached on the comparisons they had not seen."""
    found = []
    for run in queue.runs():
        accuracy = run.result.get("eval/rewards/accuracies")
        if run.project_id == project.id and run.algorithm == "reward" and run.state == "done" and accuracy is not None:
            trained = [r for r in read_snapshot(run.folder.data) if isinstance(r, RankedAnswers) and r.split == "train"]
            comparisons = sum(not p.tie for row in trained for p in pairs([c.rank for c in row.completions]))
            found.append(CurvePoint(comparisons, float(accuracy), int(run.result.get("eval/pairs") or 0)))
    return found


def _hint_words(have: int, suggested: int, curve: LearningCurve) -> str:
    gain = 100 * curve.gain(have, 100)
    basis = "a rule of thumb" if curve.points == 0 else "1 earlier run" if curve.points == 1 else f"{curve.points} earlier runs"
    amount = f"{have:,} of about {suggested:,} comparisons" if have < suggested else f"{have:,} comparisons"
    if gain < 1:
        return f"{amount}. More would bring little: under a point of accuracy a hundred (by {basis})."
    return f"{amount}. A hundred more would bring about {gain:.0f} points of accuracy (by {basis})."
