"""How good a project's judgements are, silent repeats, and settling what people disagree about."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.feedback.judgements import Judgement, Verdict, in_order
from rlhf_desktop.feedback.quality import (
    Alpha,
    DayPace,
    Disagreement,
    PairAgreement,
    Repeat,
    Share,
    alphas,
    choose_repeat,
    coverage,
    disagreements,
    distributions,
    overlap,
    pace,
    pairwise_agreement,
    position_bias,
    refusal_rate,
    self_agreement,
    share,
    tie_rate,
    too_fast,
)
from rlhf_desktop.feedback.split import prompt_hash
from rlhf_desktop.store.database import Store

_RECENT = 2000  # of one person's judgements, among which an item to repeat is chosen


@dataclass(frozen=True)
class QualityReport:
    """A project's dashboard; see `feedback.quality` for what the numbers mean.

    Attributes:
        counts: Judgements in effect by person.
        self_agreement: With oneself, when an item silently came back.
        position_bias: How often the answer shown first won; 0.5 is none.
        ties: The share of pairs called equally good.
        refusals: How often none of the answers would do.
        hasty: Ids of judgements made faster than one can read.
        hasty_share: Their share of those with a time.
        pace: By day and person.
        marks: By attribute how often each step was given.
        coverage: By tag of the prompts: judged, and all.
        overlap: The share of items judged by several people.
        agreement: Of each two people.
        alphas: Krippendorff's α by kind of answer.
        unsettled: How many disagreements nobody has settled.
    """

    counts: dict[str, int]
    self_agreement: Share
    position_bias: Share
    ties: Share
    refusals: Share
    hasty: tuple[str, ...]
    hasty_share: Share
    pace: tuple[DayPace, ...]
    marks: dict[str, tuple[int, ...]]
    coverage: dict[str, tuple[int, int]]
    overlap: Share
    agreement: tuple[PairAgreement, ...]
    alphas: tuple[Alpha, ...]
    unsettled: int


def quality(store: Store, project: Project, who: str = "") -> QualityReport:
    """Measure a project's judgements in effect; with `who`, that person's own where a number is about one person."""
    with store.connection.snapshot():
        events = list(store.judgements.standing(project.id))
        chars = store.judgements.shown_chars(project.id)
        tags = {prompt_hash(prompt.prompt): prompt.tags for prompt in store.prompts.prompts(project.id)}
        judged = {prompt_hash(prompt) for prompt in store.judgements.prompts(project.id)}
    mine = [event for event in events if not who or event.who == who]
    fresh = [event for event in mine if event.purpose == "label"]
    hasty = set(too_fast(fresh, chars))
    timed = [event for event in fresh if event.seconds_spent is not None]
    return QualityReport(
        counts=dict(Counter(event.who for event in events)),
        self_agreement=self_agreement(mine),
        position_bias=position_bias(mine),
        ties=tie_rate(fresh),
        refusals=refusal_rate(fresh),
        hasty=tuple(event.id for event in fresh if event.id in hasty),
        hasty_share=share([float(event.id in hasty) for event in timed]),
        pace=tuple(pace(mine)),
        marks=distributions(fresh),
        coverage=coverage(tags, judged),
        overlap=overlap(events),
        agreement=tuple(pairwise_agreement(events)),
        alphas=tuple(alphas(events)),
        unsettled=len(disagreements(events)),
    )


def next_repeat(store: Store, project: Project, who: str, chance: random.Random) -> Repeat | None:
    """The item to show again now, silently and in another order; None when none is due.

    Judge it with `purpose="repeat"`: it then measures self-agreement and is never trained on.
    """
    mine = store.judgements.recent(project.id, who, _RECENT)
    return choose_repeat(mine, store.protocols.get(project.id).repeat_share, chance)


def unsettled(store: Store, project: Project) -> list[Disagreement]:
    """The queue of disagreements to settle, the greatest first."""
    with store.connection.snapshot():
        return disagreements(store.judgements.standing(project.id))


def settle(store: Store, disagreement: Disagreement, who: str, verdicts: Iterable[Verdict], critique: str = "") -> Judgement:
    """Decide a disagreement: from now on trainers see the decision alone. The judgements it is about stay.

    Args:
        store: Where it is kept.
        disagreement: One of `unsettled`.
        who: Who decides.
        verdicts: The decision, of the answers in the order of the disagreement's first judgement.
        critique: Why.
    """
    said = in_order(verdicts)
    if not said:
        raise BadInput("Nothing was decided.", "Rank the answers, or say that none will do.")
    first = disagreement.judgements[0]
    version = store.guidelines.current(first.project_id)
    return store.judgements.add(
        Judgement(
            first.project_id,
            who,
            first.displayed,
            said[0],
            also=said[1:],
            critique=critique,
            guideline_version=version.version if version else 0,
            purpose="adjudication",
        )
    )
