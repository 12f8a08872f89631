"""A blind evaluation: two models answer the same held-out prompts; people judge, not knowing whose is whose.

It lives in the database: both answers of every prompt with who wrote them, the order and sides drawn beforehand, and judgements
like any other. So it can be left and gone on with, by one person or several, and undone as everything else. What came of it is in
`blind_results`.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.protocol import Completion, Sampling
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.feedback.conversations import Generator, Project
from rlhf_desktop.feedback.judgements import AllBad, Judgement, Ranking, Skip, Verdict, effective
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.evaluations import EvaluationPair, StoredEvaluation

BlindVerdict = Literal["left", "right", "tie", "both_bad", "skip"]
Answered = tuple[Messages, Completion, Completion]  # a prompt, the old model's answer, the new model's

_VERDICTS: dict[BlindVerdict, Verdict] = {
    "left": Ranking((1, 2)),
    "right": Ranking((2, 1)),
    "tie": Ranking((1, 1)),
    "both_bad": AllBad(),
    "skip": Skip("blind evaluation"),
}


@dataclass(frozen=True)
class Evaluation:
    """A comparison of two models with the pairs to judge."""

    id: str
    project_id: str
    created_at: str
    title: str
    old: Generator
    new: Generator
    seed: int
    pairs: tuple[EvaluationPair, ...]

    @property
    def old_name(self) -> str:
        """The old model as people call it."""
        return _name(self.old)

    @property
    def new_name(self) -> str:
        """The new model as people call it."""
        return _name(self.new)


def _name(generator: Generator) -> str:
    return generator.adapter_name or generator.model_name


@dataclass(frozen=True)
class BlindPair:
    """What the judge sees. Who wrote what is not in it."""

    evaluation_id: str
    position: int
    prompt: Messages
    left: str
    right: str
    done: int  # pairs this person has judged
    total: int
    finishes: tuple[str, str] = ("", "")  # how the two ended: an answer cut at the length limit is judged as such


# --- beginning ----------------------------------------------------------------------------------------------------------------


def begin_evaluation(
    store: Store,
    project: Project,
    *,
    base: ModelRef,
    old: AdapterRef | None,
    new: AdapterRef | None,
    sampling: Sampling,
    seed: int,
    answered: Sequence[Answered],
    title: str = "",
) -> Evaluation:
    """Store both models' answers, in a drawn order with balanced sides, whole or not at all.

    Args:
        store: Where to.
        project: Whose held-out prompts they are.
        base: The base model of both.
        old: The model before; None for the base itself.
        new: The model after.
        sampling: How both were sampled.
        seed: Decides order and sides; also the answers' seed.
        answered: The prompts with both answers.
        title: What it is called; by default both names.

    Raises:
        BadInput: the two models are one, nothing was answered, or a prompt is not held out.
    """
    sides = Generator.of(base, old, sampling), Generator.of(base, new, sampling)
    if sides[0].id == sides[1].id:
        raise BadInput("Both sides are the same model.", "Choose two different models.")
    name = title.strip() or f"{_name(sides[1])} against {_name(sides[0])}"
    stored = StoredEvaluation(project.id, name, sides[0].id, sides[1].id, seed)
    with store.connection.transaction():
        pairs = _keep_answers(store, project.id, answered, sides, seed, 0)
        store.evaluations.add(stored)
        store.evaluations.add_pairs(stored.id, pairs)
    return _evaluation(store, stored)


def check_engine(made: Evaluation, base: ModelRef) -> None:
    """Refuse to go on with a comparison where another engine would answer: a difference could be the engine's.

    Raises:
        BadInput: it would.
    """
    before, now = (engine or "torch" for engine in (made.new.sampling.engine, base.engine))
    if before != now:
        raise BadInput(
            f"The answers of this comparison were computed by {before}, those of {base.name} are computed by {now} now.",
            f"Choose {before} again in Models, or begin a new comparison.",
        )


def add_answers(store: Store, evaluation_id: str, answered: Sequence[Answered]) -> Evaluation:
    """More prompts for an evaluation under way, after those it has. Raises as `begin_evaluation` does."""
    stored = store.evaluations.get(evaluation_id)
    evaluation = _evaluation(store, stored)
    with store.connection.transaction():
        sides = (evaluation.old, evaluation.new)
        pairs = _keep_answers(store, stored.project_id, answered, sides, stored.seed, len(evaluation.pairs))
        store.evaluations.add_pairs(stored.id, pairs)
    return _evaluation(store, stored)


def _keep_answers(
    store: Store, project_id: str, answered: Sequence[Answered], sides: tuple[Generator, Generator], seed: int, first: int
) -> list[EvaluationPair]:
    split = store.projects.splitter(project_id)
    if not answered:
        raise BadInput("The models answered nothing that can be compared.", "Try again, or choose other prompts.")
    if any(split(prompt) != "heldout" for prompt, _, _ in answered):
        raise BadInput(
            "Some of these prompts may be trained on, so answers to them prove nothing.", "Use the project's held-out prompts."
        )
    chance = random.Random(f"{seed}:{first}")
    order = list(answered)
    chance.shuffle(order)
    left = [place % 2 == 0 for place in range(len(order))]  # half of each: no model profits from a habit of the eye
    chance.shuffle(left)
    pairs = []
    for place, (prompt, *completions) in enumerate(order):
        _, leaf = store.conversations.start(project_id, prompt, "label")
        nodes = [
            store.conversations.add_completions(leaf.id, [NewCompletion.of(c, seed)], generator)[0]
            for c, generator in zip(completions, sides, strict=True)
        ]
        pairs.append(EvaluationPair(first + place, nodes[0].id, nodes[1].id, left[place]))
    return pairs


def evaluation(store: Store, evaluation_id: str) -> Evaluation:
    """The evaluation with this id, or whose id begins so.

    Raises:
        NotFound: there is none.
    """
    return _evaluation(store, store.evaluations.get(evaluation_id))


def _evaluation(store: Store, stored: StoredEvaluation) -> Evaluation:
    made_by = store.conversations.generators([stored.old_generator, stored.new_generator])
    return Evaluation(
        id=stored.id,
        project_id=stored.project_id,
        created_at=stored.created_at,
        title=stored.title,
        old=made_by[stored.old_generator],
        new=made_by[stored.new_generator],
        seed=stored.seed,
        pairs=tuple(store.evaluations.pairs(stored.id)),
    )


# --- judging ------------------------------------------------------------------------------------------------------------------


def next_pair(store: Store, evaluation_id: str, who: str) -> BlindPair | None:
    """The first pair that this person has not judged; None when all are."""
    with store.connection.snapshot():
        found = evaluation(store, evaluation_id)
        done = {j.displayed for j in standing(store, found.id) if j.who == who}
        left = [pair for pair in found.pairs if pair.displayed not in done]
        return _shown(store, found, left[0], len(found.pairs) - len(left)) if left else None


def _shown(store: Store, found: Evaluation, pair: EvaluationPair, done: int) -> BlindPair:
    first = store.conversations.message(pair.displayed[0])
    tree = store.conversations.tree(first.conversation_id)
    left, right = (tree.node(message_id) for message_id in pair.displayed)
    prompt, finishes = tree.prompt_of(first.id), (left.finish or "", right.finish or "")
    return BlindPair(found.id, pair.position, prompt, left.content, right.content, done, len(found.pairs), finishes)


def judge_pair(
    store: Store,
    shown: BlindPair,
    verdict: BlindVerdict,
    *,
    who: str,
    seconds: float,
    critique: str = "",
    also: Sequence[Verdict] = (),
    confidence: float | None = None,
    guideline_version: int = 0,
) -> Judgement:
    """Keep a verdict on a pair, as displayed. It is held out, so it never trains anything.

    Args:
        store: Where to.
        shown: The pair, as `next_pair` gave it.
        verdict: Which side is better, or neither.
        who: Who judged.
        seconds: How long it took.
        critique: Why, in free words.
        also: What else was said of both answers, as displayed: marks by attribute, for instance.
        confidence: 0 to 1, when it was given.
        guideline_version: The guideline in force.
    """
    stored = store.evaluations.get(shown.evaluation_id)
    pair = next(p for p in store.evaluations.pairs(stored.id) if p.position == shown.position)
    return store.judgements.add(
        Judgement(
            stored.project_id,
            who,
            pair.displayed,
            _VERDICTS[verdict],
            seconds_spent=round(seconds, 2),
            guideline_version=guideline_version,
            critique=critique,
            also=tuple(also),
            confidence=confidence,
            source=f"evaluation:{stored.id}",
        )
    )


def undo_last(store: Store, evaluation_id: str, who: str) -> BlindPair | None:
    """Take this person's last verdict back. Returns the pair to judge again, or None when there was none."""
    with store.connection.transaction():
        found = evaluation(store, evaluation_id)
        theirs = [j for j in standing(store, found.id) if j.who == who]
        if not theirs:
            return None
        store.judgements.withdraw(theirs[-1].id, who)
        pair = next(p for p in found.pairs if p.displayed == theirs[-1].displayed)
        return _shown(store, found, pair, len(theirs) - 1)


def standing(store: Store, evaluation_id: str) -> list[Judgement]:
    """The judgements of an evaluation in effect, oldest first. Only those of both answers together as they were shown."""
    shown = {pair.displayed for pair in store.evaluations.pairs(evaluation_id)}
    events = store.judgements.later(store.evaluations.judgements_of(evaluation_id))
    return [j for j in effective(events) if j.displayed in shown]
