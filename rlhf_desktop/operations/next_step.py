"""What a project does next: one suggestion, decided from values alone. `operations.outlook` gathers them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from rlhf_desktop.core.recipes import Algorithm
from rlhf_desktop.core.words import count, roughly
from rlhf_desktop.evaluation.confidence import CLOSE, about
from rlhf_desktop.jobs.queue import RunSummary
from rlhf_desktop.operations.agreement import NEXT_TRAINING, Agreement
from rlhf_desktop.operations.amounts import Amount
from rlhf_desktop.operations.blind_results import EvaluationSummary, prompts_left
from rlhf_desktop.operations.rounds import Round

VERDICT_PROMPTS = 30  # held-out prompts that a verdict usually takes
LEAST_PROMPTS = 8  # with fewer, not even the clearest result decides anything
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


def step_json(step: NextStep) -> dict[str, Any]:
    """A next step for another program."""
    named = {"run": step.run_id, "evaluation": step.evaluation_id, "algorithm": step.algorithm, "more": step.more}
    return {"kind": step.kind, "sentence": step.sentence, **named}


def has_result(run: RunSummary) -> bool:
    """Whether a run has ended and left a model."""
    return run.state in _MADE and run.folder.adapter.is_dir()


@dataclass(frozen=True)
class Facts:
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
        """The round under way."""
        return self.rounds[-1]


def decide(facts: Facts) -> NextStep:
    """What to do now. One suggestion; everything else stays possible."""
    live = next((run for run in reversed(facts.now.runs) if run.state in _LIVE), None)
    if live is not None:
        return NextStep("wait", f"“{live.title}” is {'waiting' if live.state == 'queued' else 'training'}", "train", run_id=live.id)
    newest = next((run for run in facts.now.runs if has_result(run) and not run.archived), None)
    if newest is None:
        return _feed_or_train(facts)
    return _after_reward(facts, newest) if newest.algorithm == "reward" else _after_training(facts, newest)


def _feed_or_train(facts: Facts) -> NextStep:
    """Nothing has come of this round yet."""
    if facts.untaught:
        return _examples(facts)
    if len(facts.rounds) == 1 and not any(amount.have for name, amount in facts.amounts.items() if name != "ppo"):
        return NextStep("judge", "Next: compare a few answers", "chat")
    if not facts.taught and facts.amounts["sft"].worth_it:
        return _examples(facts)
    archived = next((run for run in facts.now.runs if has_result(run)), None)
    return _again(facts, archived, "" if archived else "of the adopted model’s answers")


def _examples(facts: Facts) -> NextStep:
    """Teach by example first."""
    there = facts.amounts["sft"]
    if there.worth_it:
        return NextStep("train", f"Next: teach the model your {there.of_suggested}", "train", "sft")
    said = f"{there.of_suggested}; write" if there.have else "this model was never taught to answer; write"
    many = count(there.more, "more example" if there.have else "example")
    return NextStep("judge", f"Next: {said} about {many}", "chat", "sft", there.more)


def _again(facts: Facts, trained: RunSummary | None, whose: str = "", before: str = "") -> NextStep:
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
    if there.missing:  # one ranking makes several comparisons, so these are counted as judgements
        said = f"about {count(more, 'more judgement')}" if goal == "reward" else f"{_GIVE[goal]} about {more:,} more"
        said = f"{there.of_suggested}; {said}, then train"
    else:
        said = f"judge about {more:,} more{f' {whose}' if whose and not first else ''}, then train"
    return NextStep("judge", f"{lead}Next: {said}", "chat", goal, more)


_LEARN: dict[Algorithm, str] = {
    "sft": "teach the model your {}",
    "reward": "learn your preferences from {}",
    "kto": "learn from your {}",
}
_GIVE: dict[Algorithm, str] = {"sft": "write", "kto": "give"}


def _goal(facts: Facts) -> Algorithm:
    """What the feedback goes furthest towards: comparisons, if as far as anything else."""
    goals: list[Algorithm] = ["reward", "kto"] if facts.taught else ["reward", "sft", "kto"]
    return max(goals, key=lambda name: facts.amounts[name].share)  # the first of equals


def _after_reward(facts: Facts, run: RunSummary) -> NextStep:
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


def _feed_reward(facts: Facts, found: RewardModel) -> NextStep:
    why = found.agreement.short
    if found.more:
        return NextStep("judge", f"Next: judge about {found.more:,} more; {why}", "chat", "reward", found.more, found.run_id)
    again = facts.amounts["reward"].of_suggested
    return NextStep("train", f"Next: learn your preferences again, from {again}; {why}", "train", "reward", run_id=found.run_id)


def _after_training(facts: Facts, run: RunSummary) -> NextStep:
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


def _compare(facts: Facts, run: RunSummary) -> NextStep:
    there = facts.held_out.prompts
    if there >= LEAST_PROMPTS:
        return NextStep("evaluate", f"Next: compare “{run.title}” blind with what you have", "evaluate", run_id=run.id)
    has = f"{count(there, 'prompt is', 'prompts are')} held out" if there else "no prompt is held out"
    said = f"Next: add prompts; {has}, a verdict on “{run.title}” needs about {VERDICT_PROMPTS}"
    return NextStep("prompts", said, "label", more=VERDICT_PROMPTS - there, run_id=run.id)


def _undecided(facts: Facts, run: RunSummary, found: EvaluationSummary) -> NextStep:
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
