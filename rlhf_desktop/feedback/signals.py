"""What each judgement means to each trainer: one table, shown in the guide, and the functions that apply it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.core.files import canonical_json
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.recipes import Algorithm
from rlhf_desktop.feedback.judgements import Correction, Demonstrated, Judgement, Kind, Ranking, dense
from rlhf_desktop.feedback.snapshot import Demonstration, PracticePrompt, RankedAnswers, RankedText, SnapshotRow, Split


@dataclass(frozen=True)
class Signal:
    """One line of the table: a form of judgement, its name on screen, and what each trainer makes of it ("" is nothing)."""

    kind: Kind
    label: str
    sft: str = ""
    comparisons: str = ""  # reward model and DPO
    meaning: str = ""


SIGNALS: tuple[Signal, ...] = (
    Signal(
        "ranking", "Ranking", "", "all its pairs; ties are data (Davidson)", "Which answers are better, and which are equally good."
    ),
    Signal("correction", "Correction", "the corrected answer", "corrected over original", "What an answer should have said."),
    Signal("demonstration", "Example", "the answer", "", "An answer written as an example to imitate."),
    Signal("all_bad", "All bad", "", "", "None will do. Kept; it is not a tie, so it compares nothing."),
    Signal("thumbs", "Thumb up or down", "", "", "One answer is good or bad. Kept; it compares nothing."),
    Signal("skip", "Skipped", "", "", "Not judged."),
    Signal("flag", "Flagged", "", "", "Something is wrong with the prompt or the answers."),
    Signal("withdrawn", "Taken back", "", "", "Undo: the judgement it names counts as if it had never been."),
)


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


def demonstrations(judged: Iterable[Judged]) -> Iterator[Demonstration]:
    """Examples to imitate: written answers, and corrections."""
    for item in judged:
        verdict = item.judgement.verdict
        if isinstance(verdict, Demonstrated):
            yield Demonstration(prompt=item.prompt, completion=item.completions[0], split=item.split)
        elif isinstance(verdict, Correction):
            yield Demonstration(prompt=item.prompt, completion=verdict.text, split=item.split)


def rankings(judged: Iterable[Judged]) -> Iterator[RankedAnswers]:
    """Comparisons: rankings with their ties, and each correction over its original."""
    for item in judged:
        verdict = item.judgement.verdict
        if isinstance(verdict, Ranking):
            texts, ranks = item.completions, dense(verdict.ranks)
        elif isinstance(verdict, Correction) and verdict.text != item.completions[verdict.index]:
            texts, ranks = (verdict.text, item.completions[verdict.index]), (1, 2)
        else:
            continue
        yield RankedAnswers(
            prompt=item.prompt,
            completions=[RankedText(text=text, rank=rank) for text, rank in zip(texts, ranks, strict=True)],
            confidence=item.judgement.confidence,
            split=item.split,
        )


def practice_prompts(prompts: Iterable[SplitPrompt]) -> Iterator[PracticePrompt]:
    """Each different prompt once, in the order given."""
    seen: set[str] = set()
    for item in prompts:
        key = canonical_json(item.prompt)
        if key not in seen:
            seen.add(key)
            yield PracticePrompt(prompt=item.prompt, split=item.split)


def snapshot_rows(algorithm: Algorithm, judged: Sequence[Judged], prompts: Iterable[SplitPrompt] = ()) -> list[SnapshotRow]:
    """What a run of `algorithm` learns from, both halves of the split, each row marked with its own.

    Args:
        algorithm: Which trainer.
        judged: The project's judgements in effect.
        prompts: Prompts to practise on, for PPO.

    Raises:
        NotEnoughFeedback: nothing in the half that may be trained on.
    """
    rows: list[SnapshotRow]
    if algorithm == "sft":
        rows = list(demonstrations(judged))
    elif algorithm == "ppo":
        rows = list(practice_prompts(prompts))
    else:
        rows = list(rankings(judged))
    _check_enough(algorithm, rows)
    return rows


_MISSING: dict[Algorithm, tuple[str, str, str]] = {
    "sft": ("example or correction", "examples to imitate", "Write an example answer, correct one, or import examples."),
    "reward": ("ranking", "rankings", "Ask for several answers and rank them, or import rankings."),
    "dpo": ("ranking", "rankings", "Ask for several answers and rank them, or import rankings."),
    "ppo": ("prompt", "prompts to practise on", "Ask questions in the chat, or give a file of prompts."),
}


def _check_enough(algorithm: Algorithm, rows: Sequence[SnapshotRow]) -> None:
    one, several, remedy = _MISSING[algorithm]
    training = [row for row in rows if row.split == "train"]
    if not rows:
        raise NotEnoughFeedback(f"There are no {several} yet.", remedy)
    if not training:
        raise NotEnoughFeedback(
            f"Every {one} you gave is on a prompt held out for evaluation, so there is nothing to train on.",
            f"Add more, on other prompts. {remedy}",
        )
    if algorithm in ("reward", "dpo") and not any(_decides(row) for row in training):
        raise NotEnoughFeedback(
            "All the rankings are ties, so nothing says which answer is better.", "Rank some answers above others."
        )


def _decides(row: SnapshotRow) -> bool:
    return isinstance(row, RankedAnswers) and len({answer.rank for answer in row.completions}) > 1
