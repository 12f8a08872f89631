"""The loop as a loop: feedback → train → evaluate → adopt, round after round. The one next step is `operations.outlook`'s.

A round ends when a model made in it is adopted. Adopting an older model, or the base again, is a step back and ends nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.core.words import count
from rlhf_desktop.evaluation.learning import TYPICAL_CEILING, CurvePoint, LearningCurve, fit_curve
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.feedback.quality import self_agreement
from rlhf_desktop.feedback.rankings import pairs
from rlhf_desktop.feedback.snapshot import RankedAnswers, read_snapshot
from rlhf_desktop.jobs.queue import Queue, RunSummary
from rlhf_desktop.operations.blind_results import EvaluationSummary, evaluations
from rlhf_desktop.operations.lineage import lineage
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.evaluations import Adoption

ENOUGH_CAME_BACK = 12  # items judged twice before one's own agreement is a bar for a model
LOWEST_CEILING = 0.6  # who agrees with themselves no more than by chance has too few such items to tell
END_OF_TIME = "9999"


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
class LearningHint:
    """What more feedback would buy. `curve` is (comparisons, foreseen accuracy)."""

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
                judgements=store.standing.feedback_between(project.id, since, until),
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


# --- is more feedback worth it? -----------------------------------------------------------------------------------------------


def learning_hint(store: Store, queue: Queue, project: Project, have: int) -> LearningHint:
    """What a hundred comparisons more than these would buy, from what earlier runs reached."""
    points = tuple(_points(queue, project))
    curve = fit_curve(points, _ceiling(store, project))
    line = tuple((n, curve.accuracy(n)) for n in range(0, max(curve.enough, have) + 101, 20))
    return LearningHint(_hint_words(have, curve), line, points)


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


def _hint_words(have: int, curve: LearningCurve) -> str:
    gain = 100 * curve.gain(have, 100)
    basis = count(curve.points, "earlier run") if curve.points else "a rule of thumb"
    if gain < 1:
        return f"More would bring little: under a point of accuracy a hundred (by {basis})."
    return f"A hundred more would bring about {count(round(gain), 'point')} of accuracy (by {basis})."
