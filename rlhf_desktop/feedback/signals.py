"""What each judgement means to each trainer: one table, shown in the guide, and the functions that apply it.

Left out for every trainer: what was skipped or flagged, items shown again to measure self-agreement, and judgements on answers
about which an adjudicator has decided (the decision speaks for them).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.core.files import canonical_json
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.judgements import (
    AllBad,
    Correction,
    Demonstrated,
    Judgement,
    Kind,
    Ranking,
    Ratings,
    Spans,
    Thumbs,
    Verdict,
    dense,
)
from rlhf_desktop.feedback.snapshot import (
    Demonstration,
    MarkedAnswer,
    MarkedSpan,
    PracticePrompt,
    RankedAnswers,
    RankedText,
    RatedAnswers,
    RatedText,
    SnapshotRow,
    Split,
    ThumbedAnswer,
    margin_of,
)


@dataclass(frozen=True)
class Signal:
    """One line of the table: a form of judgement, its name on screen, and what each trainer makes of it ("" is nothing)."""

    kind: Kind
    label: str
    meaning: str
    sft: str = ""
    reward: str = ""
    dpo: str = ""
    kto: str = ""

    @property
    def trainers(self) -> tuple[str, ...]:
        """The trainers that learn from this form."""
        return tuple(name for name in ("sft", "reward", "dpo", "kto") if getattr(self, name))


SIGNALS: tuple[Signal, ...] = (
    Signal(
        "ranking",
        "Ranking",
        "Which answers are better, and which are equally good.",
        reward="all its pairs; ties are data (Davidson); confidence and strength set the margin",
        dpo="all its pairs but the ties; confidence and strength set the margin",
    ),
    Signal(
        "all_bad",
        "All bad",
        "None will do. It is not a tie, so it compares nothing.",
        kto="each answer is undesirable, with a share of the weight",
    ),
    Signal("thumbs", "Thumb up or down", "One answer is good enough or not.", kto="up is desirable, down undesirable"),
    Signal(
        "ratings",
        "Marks",
        "How good each answer is, by attribute.",
        reward="a head for each attribute, from the order of the marks within a prompt",
    ),
    Signal("labels", "Labels", "What kind of answer it is. For filters, coverage and reports; no trainer uses it."),
    Signal(
        "spans",
        "Marked parts",
        "Which words of an answer are bad, and how bad.",
        reward="penalties on those tokens: 0.5 slight, 1 serious, 2 grave",
    ),
    Signal(
        "correction",
        "Correction",
        "What an answer should have said.",
        sft="the corrected answer",
        reward="corrected over original",
        dpo="corrected over original",
    ),
    Signal("demonstration", "Example", "An answer written as an example to imitate.", sft="the answer"),
    Signal("skip", "Skipped", "Not judged."),
    Signal("flag", "Flagged", "Something is wrong with the prompt or the answers."),
    Signal("withdrawn", "Taken back", "Undo: the judgement it names counts as if it had never been."),
)

_PENALTY = {1: 0.5, 2: 1.0, 3: 2.0}  # of a span, by severity
_CLEAR = {1: -0.5, 2: 0.0, 3: 1.0}  # a ranking's margin, by strength
_NO_SIGNAL = ("skip", "flag", "withdrawn")


def signals_table() -> str:
    """The table as Markdown, for the guide."""
    lines = ["| Form | Means | Examples (SFT) | Reward model | DPO | KTO |", "|---|---|---|---|---|---|"]
    for s in SIGNALS:
        lines.append("| " + " | ".join([s.label, s.meaning, *(part or "–" for part in (s.sft, s.reward, s.dpo, s.kto))]) + " |")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Judged:
    """A judgement with the texts it is about, in displayed order, and the half of the split its prompt is in."""

    judgement: Judgement
    prompt: Messages
    completions: tuple[str, ...]
    split: Split


@dataclass(frozen=True)
class SplitPrompt:
    """A prompt to practise or evaluate on, in its half of the split."""

    prompt: Messages
    split: Split


def settled(judged: Iterable[Judged]) -> list[Judged]:
    """What trainers may see: no repeats, nothing skipped or flagged, and where an adjudicator decided, the decision alone."""
    items = [i for i in judged if i.judgement.purpose != "repeat" and i.judgement.kind not in _NO_SIGNAL]
    decided = {frozenset(i.judgement.displayed) for i in items if i.judgement.purpose == "adjudication"}
    return [i for i in items if i.judgement.purpose == "adjudication" or frozenset(i.judgement.displayed) not in decided]


def _said(judged: Iterable[Judged]) -> Iterator[tuple[Judged, Verdict]]:
    for item in settled(judged):
        for verdict in item.judgement.verdicts:
            yield item, verdict


def demonstrations(judged: Iterable[Judged]) -> Iterator[Demonstration]:
    """Examples to imitate: written answers, and corrections."""
    for item, verdict in _said(judged):
        if isinstance(verdict, Demonstrated):
            yield Demonstration(prompt=item.prompt, completion=item.completions[0], split=item.split)
        elif isinstance(verdict, Correction):
            yield Demonstration(prompt=item.prompt, completion=verdict.text, split=item.split)


def rankings(judged: Iterable[Judged]) -> Iterator[RankedAnswers]:
    """Comparisons: rankings with their ties, and each correction over its original."""
    for item, verdict in _said(judged):
        margin = 0.0
        if isinstance(verdict, Ranking):
            texts, ranks = item.completions, dense(verdict.ranks)
            margin = _margin(item.judgement.confidence, verdict.strength)
        elif isinstance(verdict, Correction) and verdict.text != item.completions[verdict.index]:
            texts, ranks = (verdict.text, item.completions[verdict.index]), (1, 2)
        else:
            continue
        yield RankedAnswers(
            prompt=item.prompt,
            completions=[RankedText(text=text, rank=rank) for text, rank in zip(texts, ranks, strict=True)],
            confidence=item.judgement.confidence,
            margin=margin,
            split=item.split,
        )


def _margin(confidence: float | None, strength: int | None) -> float:
    """How clear a ranking is, −1 to 1: the mean of what its confidence and its strength say."""
    if strength is None:
        return margin_of(confidence)
    return _CLEAR[strength] if confidence is None else (_CLEAR[strength] + margin_of(confidence)) / 2


def ratings(judged: Iterable[Judged]) -> Iterator[RatedAnswers]:
    """One person's marks of the answers to one prompt, from however many sittings; 0 is the scale's worst step and 1 its best."""
    groups: dict[tuple[str, str], tuple[Judged, dict[str, dict[str, float]]]] = {}
    for item, verdict in _said(judged):
        if isinstance(verdict, Ratings):
            _, marks = groups.setdefault((item.judgement.who, canonical_json(item.prompt)), (item, {}))
            for rating in verdict.ratings:
                for text, score in zip(item.completions, rating.scores, strict=True):
                    if score is not None:
                        marks.setdefault(text, {})[rating.attribute] = (score - 1) / (rating.levels - 1)
    for item, marks in groups.values():
        if len(marks) > 1:  # a mark alone has no order
            texts = [RatedText(text=text, ratings=values) for text, values in marks.items()]
            yield RatedAnswers(prompt=item.prompt, completions=texts, split=item.split)


def thumbs(judged: Iterable[Judged]) -> Iterator[ThumbedAnswer]:
    """Answers that are good enough or not: thumbs, and each of several none of which will do."""
    for item, verdict in _said(judged):
        if isinstance(verdict, Thumbs):
            text = item.completions[verdict.index]
            yield ThumbedAnswer(prompt=item.prompt, text=text, desirable=verdict.up, split=item.split)
        elif isinstance(verdict, AllBad):
            weight = 1 / len(item.completions)
            for text in item.completions:
                yield ThumbedAnswer(prompt=item.prompt, text=text, desirable=False, weight=weight, split=item.split)


def marked(judged: Iterable[Judged]) -> Iterator[MarkedAnswer]:
    """Answers with their bad parts."""
    for item, verdict in _said(judged):
        if isinstance(verdict, Spans):
            for index, text in enumerate(item.completions):
                spans = [
                    MarkedSpan(start=span.start, end=span.end, penalty=_PENALTY[span.severity])
                    for span in sorted(verdict.spans, key=lambda span: (span.start, span.end))
                    if span.index == index and span.end <= len(text)
                ]
                if spans:
                    yield MarkedAnswer(prompt=item.prompt, text=text, spans=spans, split=item.split)


def practice_prompts(prompts: Iterable[SplitPrompt]) -> Iterator[PracticePrompt]:
    """Each different prompt once, in the order given."""
    seen: set[str] = set()
    for item in prompts:
        key = canonical_json(item.prompt)
        if key not in seen:
            seen.add(key)
            yield PracticePrompt(prompt=item.prompt, split=item.split)


_MAKERS: Mapping[str, tuple[Callable[[Sequence[Judged]], Iterator[SnapshotRow]], ...]] = {
    "sft": (demonstrations,),
    "reward": (rankings, ratings, marked),
    "dpo": (rankings,),
    "kto": (thumbs,),
}


def snapshot_rows(algorithm: str, judged: Sequence[Judged], prompts: Iterable[SplitPrompt] = ()) -> list[SnapshotRow]:
    """What a run of `algorithm` learns from, both halves of the split, each row marked with its own.

    Args:
        algorithm: Which trainer: sft, reward, dpo, kto or ppo.
        judged: The project's judgements in effect.
        prompts: Prompts to practise on, for PPO.

    Raises:
        NotEnoughFeedback: nothing in the half that may be trained on.
    """
    rows: list[SnapshotRow] = list(practice_prompts(prompts)) if algorithm == "ppo" else _learned(algorithm, judged)
    _check_enough(algorithm, rows)
    return rows


def _learned(algorithm: str, judged: Sequence[Judged]) -> list[SnapshotRow]:
    return [row for make in _MAKERS[algorithm] for row in make(judged)]


_RANK = ("ranking", "rankings", "Ask for several answers and rank them, or import rankings.")
_MISSING: dict[str, tuple[str, str, str]] = {
    "sft": ("example or correction", "examples to imitate", "Write an example answer, correct one, or import examples."),
    "reward": _RANK,
    "dpo": _RANK,
    "kto": ("thumb", "thumbs", "Give answers a thumb up or down, or import such feedback."),
    "ppo": ("prompt", "prompts to practise on", "Ask questions in the chat, or give a file of prompts."),
}


def _check_enough(algorithm: str, rows: Sequence[SnapshotRow]) -> None:
    one, several, remedy = _MISSING[algorithm]
    training = [row for row in rows if row.split == "train"]
    if not rows or (algorithm == "reward" and all(isinstance(row, MarkedAnswer) for row in rows)):
        raise NotEnoughFeedback(f"There are no {several} yet.", remedy)
    if not training:
        raise NotEnoughFeedback(
            f"Every {one} you gave is on a prompt held out for evaluation, so there is nothing to train on.",
            f"Add more, on other prompts. {remedy}",
        )
    if algorithm in ("reward", "dpo") and not any(_decides(row) for row in training):
        raise NotEnoughFeedback(
            "All the rankings are ties, or of one text with itself, so nothing says which answer is better.",
            "Rank some answers above others.",
        )


def _decides(row: SnapshotRow) -> bool:
    if isinstance(row, RatedAnswers):
        attributes = {name for answer in row.completions for name in answer.ratings}
        return any(len({a.ratings[name] for a in row.completions if name in a.ratings}) > 1 for name in attributes)
    return isinstance(row, RankedAnswers) and any(
        a.rank < b.rank and a.text != b.text for a in row.completions for b in row.completions
    )
