"""Where a project is, how much of everything there is, and the one next step: the same for header, cards, panels and commands.

`outlook` gathers what the store and the run folders say; everything that is said of “enough” and “next”, anywhere, is read from the
`Outlook` it returns. What decides is in `operations.next_step`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.modelfiles import has_chat_template
from rlhf_desktop.core.recipes import Algorithm
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.core.words import count
from rlhf_desktop.evaluation.confidence import WinInterval
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.jobs.adapters import weights_hash
from rlhf_desktop.jobs.queue import Queue, RunSummary
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations.agreement import Agreement, agreement, agreement_of, judgements_needed
from rlhf_desktop.operations.amounts import Amount, amounts
from rlhf_desktop.operations.blind_results import EvaluationSummary, evaluations
from rlhf_desktop.operations.next_step import (
    VERDICT_PROMPTS,
    Facts,
    HeldOut,
    NextStep,
    RewardModel,
    decide,
    has_result,
    step_json,
)
from rlhf_desktop.operations.rounds import END_OF_TIME, rounds
from rlhf_desktop.store.database import Store

UNTAUGHT = "This model has never been taught to answer: teach by example first."


@dataclass(frozen=True)
class Outlook:
    """All that is said of “enough” and “next”."""

    judgements: int  # in effect
    round: int
    amounts: Mapping[Algorithm, Amount]
    held_out: HeldOut
    reward: RewardModel | None
    step: NextStep
    untaught: bool = False  # the base model has never been taught to answer

    @property
    def words(self) -> str:
        """For instance “round 2 · 143 judgements”."""
        return f"round {self.round} · {count(self.judgements, 'judgement')}"

    @property
    def suggested(self) -> Algorithm | None:
        """The recipe to point at; None where the next step is something else."""
        return self.step.algorithm if self.step.kind == "train" else None

    @property
    def caution(self) -> str:
        """Why PPO is not worth its time now; "" where it may be."""
        found = self.reward
        if found is None or found.agreement.above_chance:
            return ""
        return f"{found.agreement.said_of('your reward model')} {found.advice}"

    def as_json(self) -> dict[str, Any]:
        """For another program."""
        found, step = self.reward, self.step
        return {
            "round": self.round,
            "judgements": self.judgements,
            "amounts": {
                name: {"have": amount.have, "suggested": amount.suggested, "unit": amount.one + "s", "held_out": amount.held_out}
                for name, amount in self.amounts.items()
            },
            "held_out_prompts": self.held_out.prompts,
            "verdict_prompts": VERDICT_PROMPTS,
            "reward": found and {**vars(found.agreement), "run": found.run_id, "above_chance": found.agreement.above_chance},
            "next": step_json(step),
        }


# --- gathering ----------------------------------------------------------------------------------------------------------------


def outlook(store: Store, queue: Queue, project: Project, base: ModelRef | None = None) -> Outlook:
    """Where a project is and what comes next. Blocks; asks no model anything.

    Args:
        store: Its database.
        queue: Its runs.
        project: Which.
        base: The base model in use, if there is one: reward models of another one do not count.
    """
    history, have = rounds(store, queue, project), amounts(store, project)
    runs = [run for run in queue.runs() if run.project_id == project.id]
    taught = any(run.algorithm == "sft" and has_result(run) for run in runs)

    def fresh(since: str) -> int:
        return store.standing.feedback_between(project.id, since, END_OF_TIME)

    facts = Facts(
        rounds=history,
        amounts=have,
        held_out=HeldOut(store.questions.heldout_count(project.id)),
        reward=_reward(runs, base, have["reward"], fresh),
        untaught=is_untaught(base) and not taught,
        taught=taught,
        fresh=fresh,
        compared={run.id: found for run in history[-1].runs if (found := comparison_of(run, history[-1].evaluations))},
    )
    judgements = sum(store.standing.counts(project.id).values())
    return Outlook(judgements, history[-1].number, have, facts.held_out, facts.reward, decide(facts), facts.untaught)


def is_untaught(base: ModelRef | None) -> bool:
    """Whether a base model has no chat template: it was never taught to answer."""
    return base is not None and Path(base.path).is_dir() and not has_chat_template(Path(base.path))


def comparison_of(run: RunSummary, found: Sequence[EvaluationSummary]) -> EvaluationSummary | None:
    """The newest blind comparison, begun to be judged or not, in which a run's result was the new model."""
    try:
        made = weights_hash(run.folder.adapter)
    except AppError:
        return None  # it left nothing, or its files are gone
    return next((e for e in found if e.evaluation.new.adapter_hash == made), None)


def _reward(
    runs: Sequence[RunSummary], base: ModelRef | None, comparisons: Amount, fresh: Callable[[str], int]
) -> RewardModel | None:
    """The newest reward model that fits the base model and is not archived."""
    for run in runs:
        if run.algorithm == "reward" and has_result(run) and not run.archived and _fits(run, base):
            found = agreement(run.result)
            return RewardModel(run.id, run.title, found, judgements_needed(found, comparisons, fresh(run.created)))
    return None


def reward_model_of(store: Store, project: Project, adapter: AdapterRef, comparisons: Amount) -> RewardModel:
    """What is known of a reward model that is to be practised against; of one that came from elsewhere, nothing was measured."""
    run = RunFolder(Path(adapter.path).parent)
    made_here = run.config_file.is_file()
    found = agreement_of(run) if made_here else Agreement()
    fresh = store.standing.feedback_between(project.id, run.config().created if made_here else "", END_OF_TIME)
    return RewardModel(run.id if made_here else "", adapter.name, found, judgements_needed(found, comparisons, fresh))


def _fits(run: RunSummary, base: ModelRef | None) -> bool:
    try:
        return base is None or run.folder.config().base.hash == base.hash
    except AppError:
        return False


# --- what came of a run -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What may be said of the result of a run that is done; `ready` once something it was not trained on has said it is good."""

    ready: bool
    sentence: str


def outcome(algorithm: str, win: WinInterval | None, found: Agreement) -> Outcome:
    """What a blind comparison, or for a reward model the choices it has not seen, say of a result.

    Args:
        algorithm: What was trained.
        win: What the newest blind comparison has found; None where nobody has compared it.
        found: How far a reward model agrees.
    """
    if algorithm == "reward":
        return Outcome(found.above_chance, found.sentence)
    if win is None or win.n == 0:
        return Outcome(False, "Compare it blind to see whether it is better.")
    if win.decision == "undecided":
        return Outcome(False, "The blind comparison has not decided yet whether it is better.")
    return Outcome(win.decision == "better", f"Judged blind, it is {win.decision} than the model before.")


def outcome_of(store: Store, project: Project, run: RunSummary) -> Outcome:
    """What may be said of a run's result now."""
    compared = comparison_of(run, evaluations(store, project)) if run.algorithm != "reward" else None
    return outcome(run.algorithm, compared.win if compared else None, agreement(run.result))


def ended_sentence(run: RunSummary) -> str:
    """What may be said of a result that is new: nobody can have compared it."""
    return outcome(run.algorithm, None, agreement(run.result)).sentence
