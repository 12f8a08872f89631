"""What a blind evaluation has found: a verdict whose interval holds whenever one looks, by tag, by attribute, at equal length.

Prompts are the independent draws: what several people, or one person twice, said of a prompt counts as one outcome, their mean.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.evaluation.confidence import WinInterval, interval
from rlhf_desktop.evaluation.length import LengthControlled, length_controlled
from rlhf_desktop.feedback.conversations import MessageNode, Project
from rlhf_desktop.feedback.judgements import AllBad, Judgement, Ranking, Ratings, Verdict
from rlhf_desktop.feedback.split import prompt_hash
from rlhf_desktop.operations.blind import Evaluation, evaluation, standing
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.evaluations import EvaluationPair

CONFIDENCE = 0.95


@dataclass(frozen=True)
class EvaluationSummary:
    """An evaluation as a list shows it."""

    evaluation: Evaluation
    judged: int  # pairs with at least one verdict
    total: int
    win: WinInterval


@dataclass(frozen=True)
class JudgedPair:
    """One person's verdict, sides undone. `outcome`: 1 if the new model won, ½ for a tie or both bad, 0 if the old one did."""

    prompt: Messages
    old: str
    new: str
    outcome: float
    attributes: dict[str, float]  # the same for each attribute that both answers were marked for
    both_bad: bool
    who: str
    created_at: str
    seconds: float | None
    critique: str
    judgement_id: str


@dataclass(frozen=True)
class BlindReport:
    """What an evaluation has found so far. The intervals by tag, and those by attribute, hold together at 95%."""

    evaluation: Evaluation
    win: WinInterval
    by_tag: dict[str, WinInterval]
    by_attribute: dict[str, WinInterval]
    length: LengthControlled | None
    judged: tuple[JudgedPair, ...]
    people: int
    seconds: float | None  # mean, of those that were timed


def evaluations(store: Store, project: Project) -> list[EvaluationSummary]:
    """A project's blind evaluations, newest first."""
    found = []
    for stored in store.evaluations.all(project.id):
        with store.connection.snapshot():
            made = evaluation(store, stored.id)
            judged = _judged_pairs(store, made)
        decided = {prompt_hash(item.prompt) for item in judged}
        found.append(EvaluationSummary(made, len(decided), len(made.pairs), interval(_by_prompt(_overall(judged)))))
    return found


def prompts_left(total: int, judged: int, held_out: int) -> int:
    """How many more prompts can be judged in a comparison: its own that nobody has judged, and held-out ones beyond it.

    Args:
        total: Its pairs.
        judged: Those with a verdict.
        held_out: Prompts of the project that are held out.
    """
    return total - judged + max(0, held_out - total)


def blind_report(store: Store, evaluation_id: str) -> BlindReport:
    """Everything an evaluation says so far.

    Raises:
        NotFound: there is no such evaluation.
    """
    with store.connection.snapshot():
        made = evaluation(store, evaluation_id)
        judged = _judged_pairs(store, made)
        tags = _tags(store, made.project_id)
    timed = [item.seconds for item in judged if item.seconds is not None]
    return BlindReport(
        evaluation=made,
        win=interval(_by_prompt(_overall(judged))),
        by_tag=_grouped({tag: [o for o in _overall(judged) if o[0] in known] for tag, known in tags.items()}),
        by_attribute=_grouped(_by_attribute(judged)),
        length=_at_equal_length(judged),
        judged=tuple(judged),
        people=len({item.who for item in judged}),
        seconds=sum(timed) / len(timed) if timed else None,
    )


def _judged_pairs(store: Store, made: Evaluation) -> list[JudgedPair]:
    by_shown: dict[tuple[str, ...], EvaluationPair] = {pair.displayed: pair for pair in made.pairs}
    found = []
    for judgement in standing(store, made.id):
        if isinstance(judgement.verdict, Ranking | AllBad):
            pair = by_shown[judgement.displayed]
            node = store.conversations.message(pair.old_message)
            tree = store.conversations.tree(node.conversation_id)
            found.append(_judged_pair(judgement, pair, tree.prompt_of(node.id), node, tree.node(pair.new_message)))
    return found


def _judged_pair(judgement: Judgement, pair: EvaluationPair, prompt: Messages, old: MessageNode, new: MessageNode) -> JudgedPair:
    return JudgedPair(
        prompt=prompt,
        old=old.content,
        new=new.content,
        outcome=_outcome(judgement.verdict, pair.new_on_left),
        attributes=_attributes(judgement, pair.new_on_left),
        both_bad=isinstance(judgement.verdict, AllBad),
        who=judgement.who,
        created_at=judgement.created_at,
        seconds=judgement.seconds_spent,
        critique=judgement.critique,
        judgement_id=judgement.id,
    )


def _outcome(verdict: Verdict, new_on_left: bool) -> float:
    """The new model's share: both bad is no one's win."""
    if not isinstance(verdict, Ranking) or verdict.ranks[0] == verdict.ranks[1]:
        return 0.5
    return float((verdict.ranks[0] < verdict.ranks[1]) == new_on_left)


def _attributes(judgement: Judgement, new_on_left: bool) -> dict[str, float]:
    """The new model's share by attribute, where both answers have a mark."""
    found = {}
    for verdict in judgement.verdicts:
        for rating in verdict.ratings if isinstance(verdict, Ratings) else ():
            left, right = rating.scores
            if left is not None and right is not None:
                found[rating.attribute] = 0.5 if left == right else float((left > right) == new_on_left)
    return found


_Outcomes = list[tuple[str, float]]  # of which prompt (by hash), and the new model's share


def _overall(judged: Iterable[JudgedPair]) -> _Outcomes:
    return [(prompt_hash(item.prompt), item.outcome) for item in judged]


def _by_attribute(judged: Iterable[JudgedPair]) -> dict[str, _Outcomes]:
    found: dict[str, _Outcomes] = {}
    for item in judged:
        for name, outcome in item.attributes.items():
            found.setdefault(name, []).append((prompt_hash(item.prompt), outcome))
    return found


def _by_prompt(outcomes: _Outcomes) -> list[float]:
    """One outcome a prompt: the mean of what was said about it. Prompts, not judgements, are the independent draws."""
    grouped: dict[str, list[float]] = {}
    for prompt, outcome in outcomes:
        grouped.setdefault(prompt, []).append(outcome)
    return [sum(said) / len(said) for said in grouped.values()]


def _grouped(groups: dict[str, _Outcomes]) -> dict[str, WinInterval]:
    """An interval a group, each with the confidence that makes them hold together (Bonferroni)."""
    filled = {name: outcomes for name, outcomes in groups.items() if outcomes}
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(filled))
    return {name: interval(_by_prompt(outcomes), confidence) for name, outcomes in filled.items()}


def _tags(store: Store, project_id: str) -> dict[str, set[str]]:
    """Which prompts (by hash) each tag names: their own tags, and the name of the set they are in."""
    names = {made.id: made.name for made in store.prompts.sets(project_id)}
    found: dict[str, set[str]] = {}
    for stored in store.prompts.prompts(project_id):
        for tag in (names[stored.prompt_set_id], *stored.tags):
            found.setdefault(tag, set()).add(prompt_hash(stored.prompt))
    return found


def _at_equal_length(judged: Sequence[JudgedPair]) -> LengthControlled | None:
    """One row a judged pair; people who judged the same pair are averaged."""
    pairs: dict[tuple[str, str, str], list[float]] = {}
    for item in judged:
        pairs.setdefault((prompt_hash(item.prompt), item.old, item.new), []).append(item.outcome)
    words = [(len(new.split()), len(old.split())) for _, old, new in pairs]
    outcomes = [sum(said) / len(said) for said in pairs.values()]
    return length_controlled(outcomes, [new for new, _ in words], [old for _, old in words])
