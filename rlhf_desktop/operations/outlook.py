"""Where a project is, how much of everything there is, and the one next step: the same for header, cards, panels and commands.

`outlook` gathers what the store and the run folders say; everything that is said of “enough” and “next”, anywhere, is read from the
`Outlook` it returns. What decides is below it, from values alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.modelfiles import has_chat_template
from rlhf_desktop.core.recipes import Algorithm
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.core.words import count, roughly
from rlhf_desktop.evaluation.confidence import CLOSE, WinInterval, about
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.jobs.adapters import weights_hash
from rlhf_desktop.jobs.queue import Queue, RunSummary
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations.agreement import NEXT_TRAINING, Agreement, agreement, agreement_of, judgements_needed
from rlhf_desktop.operations.amounts import Amount, amounts
from rlhf_desktop.operations.blind_results import EvaluationSummary, evaluations, prompts_left
from rlhf_desktop.operations.rounds import END_OF_TIME, Round, rounds
from rlhf_desktop.store.database import Store

VERDICT_PROMPTS = 30  # held-out prompts that a verdict usually takes
LEAST_PROMPTS = 8  # with fewer, not even the clearest result decides anything
UNTAUGHT = "This model has never been taught to answer: teach by example first."
_SAMPLES = (8, 16, 32, 64)  # prompts to compare on
_LIVE = ("queued", "starting", "running")
_MADE = ("done", "stopped")  # states that leave a result

StepKind = Literal["judge", "train", "wait", "evaluate", "adopt", "prompts"]


@dataclass(frozen=True)
class NextStep:
    """The one thing to do next, and the room where it is done.

    Attributes:
        kind: What sort of thing.
        sentence: For a button.
        room: Where it is done.
        algorithm: What to train, now or with what is asked for.
        more: How many judgements, blind pairs or prompts it asks for.
        run_id: The run it is about.
        evaluation_id: The comparison it is about.
    """

    kind: StepKind
    sentence: str
    room: str
    algorithm: Algorithm | None = None
    more: int | None = None
    run_id: str | None = None
    evaluation_id: str | None = None


@dataclass(frozen=True)
class HeldOut:
    """The prompts that are never trained on: what two models can be compared on."""

    prompts: int

    @property
    def enough(self) -> bool:
        """Whether a verdict can be expected."""
        return self.prompts >= VERDICT_PROMPTS

    @property
    def sentence(self) -> str:
        """How many there are, and what is missing for a verdict."""
        if not self.prompts:
            return f"No prompt is held out yet; a verdict needs about {VERDICT_PROMPTS}: add some."
        if not self.enough:
            return f"{count(self.prompts, 'prompt is', 'prompts are')} held out; a verdict needs about {VERDICT_PROMPTS}: add some."
        return f"{count(self.prompts, 'prompt is', 'prompts are')} held out to draw from."

    @property
    def samples(self) -> tuple[int, ...]:
        """On how many prompts one may compare: never more than there are."""
        fewer = [n for n in _SAMPLES if n < self.prompts]
        return (*fewer, self.prompts) if 0 < self.prompts <= _SAMPLES[-1] else tuple(fewer)


@dataclass(frozen=True)
class RewardModel:
    """The newest reward model of a project, and about how many judgements it lacks."""

    run_id: str
    title: str
    agreement: Agreement
    more: int  # before it is worth training again

    @property
    def sentence(self) -> str:
        """What it is worth, and what to do about it."""
        return self.agreement.sentence if self.agreement.above_chance else f"{self.agreement.sentence} {self.advice}"

    @property
    def advice(self) -> str:
        """What helps a reward model that is not shown to beat a coin."""
        if not self.more:
            return "Train it again with what has been judged since."
        return f"Judge about {self.more:,} more, or look again at its mistakes in Evaluate."


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
        return self.reward.sentence if self.reward and not self.reward.agreement.above_chance else ""

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


def step_json(step: NextStep) -> dict[str, Any]:
    """A next step for another program."""
    named = {"run": step.run_id, "evaluation": step.evaluation_id, "algorithm": step.algorithm, "more": step.more}
    return {"kind": step.kind, "sentence": step.sentence, **named}


# --- gathering ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Facts:
    """What decides."""

    rounds: Sequence[Round]
    amounts: Mapping[Algorithm, Amount]
    held_out: HeldOut
    reward: RewardModel | None
    untaught: bool
    taught: bool  # by example, in this project
    fresh: Callable[[str], int]  # how much was judged since a moment
    compared: Mapping[str, EvaluationSummary]  # by the run whose result was the new model

    @property
    def now(self) -> Round:
        return self.rounds[-1]


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

    facts = _Facts(
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


def has_result(run: RunSummary) -> bool:
    """Whether a run has ended and left a model."""
    return run.state in _MADE and run.folder.adapter.is_dir()


def is_untaught(base: ModelRef | None) -> bool:
    """Whether a base model has no chat template: it was never taught to answer."""
    return base is not None and Path(base.path).is_dir() and not has_chat_template(Path(base.path))


def comparison_of(run: RunSummary, found: Sequence[EvaluationSummary]) -> EvaluationSummary | None:
    """The newest blind comparison, begun to be judged or not, in which a run's result was the new model."""
    made = weights_hash(run.folder.adapter) if run.folder.adapter.is_dir() else ""
    return next((e for e in found if made and e.evaluation.new.adapter_hash == made), None)


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


# --- deciding -----------------------------------------------------------------------------------------------------------------


def decide(facts: _Facts) -> NextStep:
    """What to do now. One suggestion; everything else stays possible."""
    live = next((run for run in reversed(facts.now.runs) if run.state in _LIVE), None)
    if live is not None:
        return NextStep("wait", f"“{live.title}” is {'waiting' if live.state == 'queued' else 'training'}", "train", run_id=live.id)
    newest = next((run for run in facts.now.runs if has_result(run) and not run.archived), None)
    if newest is None:
        return _feed_or_train(facts)
    return _after_reward(facts, newest) if newest.algorithm == "reward" else _after_training(facts, newest)


def _feed_or_train(facts: _Facts) -> NextStep:
    """Nothing has come of this round yet."""
    if facts.untaught:
        return _examples(facts)
    if len(facts.rounds) == 1 and not any(amount.have for name, amount in facts.amounts.items() if name != "ppo"):
        return NextStep("judge", "Next: compare a few answers", "chat")
    if not facts.taught and facts.amounts["sft"].worth_it:
        return _examples(facts)
    archived = next((run for run in facts.now.runs if has_result(run)), None)
    return _again(facts, archived, "" if archived else "of the adopted model’s answers")


def _examples(facts: _Facts) -> NextStep:
    """Teach by example first."""
    there = facts.amounts["sft"]
    if there.worth_it:
        return NextStep("train", f"Next: teach the model your {there.of_suggested}", "train", "sft")
    said = f"{there.of_suggested}; write" if there.have else "this model was never taught to answer; write"
    many = count(there.more, "more example" if there.have else "example")
    return NextStep("judge", f"Next: {said} about {many}", "chat", "sft", there.more)


def _again(facts: _Facts, trained: RunSummary | None, whose: str = "", before: str = "") -> NextStep:
    """Train (again) once enough has been judged, and since the last training too.

    Args:
        facts: What is known.
        trained: The run whose result is the last of this round, if there is one.
        whose: Whose answers to judge, where that matters.
        before: What went before, as a sentence with its stop.
    """
    goal, lead = _goal(facts), f"{before} " if before else ""
    there, first = facts.amounts[goal], trained is None and len(facts.rounds) == 1
    news = 0 if first else NEXT_TRAINING - facts.fresh(trained.created if trained else facts.now.began)
    more = max(there.more, roughly(max(0, news)))
    if not more:
        return NextStep("train", f"{lead}Next: {_LEARN[goal].format(there.of_suggested)}", "train", goal)
    if there.missing:
        said = f"{there.of_suggested}; {_GIVE[goal]} about {more:,} more, then train"
    else:
        said = f"judge about {more:,} more{f' {whose}' if whose and not first else ''}, then train"
    return NextStep("judge", f"{lead}Next: {said}", "chat", goal, more)


_LEARN: dict[Algorithm, str] = {
    "sft": "teach the model your {}",
    "reward": "learn your preferences from {}",
    "kto": "learn from your {}",
}
_GIVE: dict[Algorithm, str] = {"sft": "write", "reward": "judge", "kto": "give"}


def _goal(facts: _Facts) -> Algorithm:
    """What the feedback goes furthest towards: comparisons, if as far as anything else."""
    goals: list[Algorithm] = ["reward", "kto"] if facts.taught else ["reward", "sft", "kto"]
    return max(goals, key=lambda name: facts.amounts[name].share)  # the first of equals


def _after_reward(facts: _Facts, run: RunSummary) -> NextStep:
    """Practise against a reward model, once it is shown to judge better than a coin; else feed it."""
    found = facts.reward
    if found is None or found.run_id != run.id:  # of another base model: begin with this one
        return _again(facts, run)
    if not found.agreement.above_chance:
        return _feed_reward(facts, found)
    prompts = facts.amounts["ppo"]
    if not prompts.worth_it:
        more = roughly(prompts.missing)
        return NextStep("prompts", f"Next: {prompts.of_suggested} to practise on; add about {more}, then PPO", "label", "ppo", more)
    return NextStep("train", "Next: improve with PPO against what you prefer", "train", "ppo", run_id=run.id)


def _feed_reward(facts: _Facts, found: RewardModel) -> NextStep:
    why = found.agreement.short
    if found.more:
        return NextStep("judge", f"Next: judge about {found.more:,} more; {why}", "chat", "reward", found.more, found.run_id)
    again = facts.amounts["reward"].of_suggested
    return NextStep("train", f"Next: learn your preferences again, from {again}; {why}", "train", "reward", run_id=found.run_id)


def _after_training(facts: _Facts, run: RunSummary) -> NextStep:
    """Is what a run has made better?"""
    found = facts.compared.get(run.id)
    if found is None:
        return _compare(facts, run)
    key, win = found.evaluation.id, found.win
    if win.decision == "better":
        return NextStep("adopt", f"Next: adopt “{run.title}”, it is better", "evaluate", run_id=run.id, evaluation_id=key)
    if win.decision == "worse":
        return _again(facts, run, before=f"“{run.title}” is worse.")
    return _undecided(facts, run, found)


def _compare(facts: _Facts, run: RunSummary) -> NextStep:
    there = facts.held_out.prompts
    if there >= LEAST_PROMPTS:
        return NextStep("evaluate", f"Next: compare “{run.title}” blind with what you have", "evaluate", run_id=run.id)
    has = f"{count(there, 'prompt is', 'prompts are')} held out" if there else "no prompt is held out"
    said = f"Next: add prompts; {has}, a verdict on “{run.title}” needs about {VERDICT_PROMPTS}"
    return NextStep("prompts", said, "label", more=VERDICT_PROMPTS - there, run_id=run.id)


def _undecided(facts: _Facts, run: RunSummary, found: EvaluationSummary) -> NextStep:
    """Judge on, as far as there are prompts for it."""
    unjudged, win = found.total - found.judged, found.win
    spare = prompts_left(found.total, found.judged, facts.held_out.prompts)
    if unjudged > 0:
        step = NextStep("evaluate", f"Next: judge {count(unjudged, 'more blind pair')}", "evaluate", more=unjudged)
    elif win.more is None or win.more > CLOSE:
        return _again(facts, run, before="The two models are close.")
    elif win.more <= spare:
        said = count(about(win.more), "more blind pair decides", "more blind pairs decide")
        step = NextStep("evaluate", f"Next: about {said}", "evaluate", more=about(win.more))
    else:
        has = f"{count(spare, 'held-out prompt is', 'held-out prompts are')} left" if spare else "no held-out prompt is left"
        said = f"Next: add prompts; about {about(win.more)} decide, {has}"
        step = NextStep("prompts", said, "label", more=win.more - spare)
    return replace(step, run_id=run.id, evaluation_id=found.evaluation.id)


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
