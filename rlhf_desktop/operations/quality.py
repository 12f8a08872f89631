"""How good a project's judgements are, silent repeats, and settling what people disagree about."""

import random
from collections.abc import Iterable, Sequence
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
from rlhf_desktop.store.database import Store

MOST = 20_000  # judgements added last, which the dashboard looks at
_RECENT = 2000  # of one person's judgements, among which an item to repeat is chosen


@dataclass(frozen=True)
class QualityReport:
    """A project's dashboard; see `feedback.quality` for what the numbers mean.

    It looks at the newest judgements, at most `MOST`; `counts` and `coverage` are of all.

    Attributes:
        looked_at: How many judgements in effect were looked at.
        counts: Judgements in effect by person.
        self_agreement: With oneself, when an item silently came back: the newest of these.
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

    looked_at: int
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

    @property
    def judgements(self) -> int:
        """How many judgements are in effect."""
        return sum(self.counts.values())


def quality(store: Store, project: Project, who: str = "") -> QualityReport:
    """Measure a project's judgements in effect; with `who`, that person's own where a number is about one person."""
    with store.connection.snapshot():
        return _report(store, project, store.judgements.newest(project.id, MOST), who)


def team_quality(store: Store, project: Project) -> tuple[QualityReport, list[Disagreement]]:
    """`quality` and `unsettled` in one look."""
    with store.connection.snapshot():
        events = store.judgements.newest(project.id, MOST)
        return _report(store, project, events), disagreements(events)


def _report(store: Store, project: Project, events: Sequence[Judgement], who: str = "") -> QualityReport:
    mine = [event for event in events if not who or event.who == who]
    fresh = [event for event in mine if event.purpose == "label"]
    timed = [event for event in fresh if event.seconds_spent is not None]
    hasty = set(too_fast(timed, store.judgements.shown_chars([event.id for event in timed])))
    return QualityReport(
        looked_at=len(events),
        counts=store.standing.by_person(project.id),
        self_agreement=agreement_with_oneself(store, project, who),
        position_bias=position_bias(mine),
        ties=tie_rate(fresh),
        refusals=refusal_rate(fresh),
        hasty=tuple(event.id for event in fresh if event.id in hasty),
        hasty_share=share([float(event.id in hasty) for event in timed]),
        pace=tuple(pace(mine)),
        marks=distributions(fresh),
        coverage=store.questions.coverage(project.id),
        overlap=overlap(events),
        agreement=tuple(pairwise_agreement(events)),
        alphas=tuple(alphas(events)),
        unsettled=len(disagreements(events)),
    )


def agreement_with_oneself(store: Store, project: Project, who: str = "") -> Share:
    """How often the newest items that silently came back were judged as before, by the same person."""
    return self_agreement(store.judgements.came_back(project.id, who))


def next_repeat(store: Store, project: Project, who: str, chance: random.Random) -> Repeat | None:
    """The item to show again now, silently and in another order; None when none is due.

    Judge it with `purpose="repeat"`: it then measures self-agreement and is never trained on.
    """
    mine = store.judgements.recent(project.id, who, _RECENT)
    return choose_repeat(mine, store.protocols.get(project.id).repeat_share, chance)


def unsettled(store: Store, project: Project) -> list[Disagreement]:
    """The queue of disagreements to settle, the greatest first."""
    with store.connection.snapshot():
        return disagreements(store.judgements.newest(project.id, MOST))


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
