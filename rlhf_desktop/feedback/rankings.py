"""Rankings: their pairs, and the rankings JSONL, one object a line (equal ranks are ties).

{"prompt": [{"role": "user", "content": "…"}], "completions": [{"text": "…", "rank": 1}, {"text": "…", "rank": 2}],
 "annotator": "…"}
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

from rlhf_desktop.feedback.judgements import dense
from rlhf_desktop.feedback.rows import RankingRow, Unusable, annotator_of, prompt_of, text_of

MAX_COMPLETIONS = 64


class Pair(NamedTuple):
    """Two completions by their places in a ranking. The first is better, unless it is a tie."""

    better: int
    worse: int
    tie: bool


def pairs(ranks: Sequence[int]) -> list[Pair]:
    """All K(K-1)/2 comparisons of a ranking, ties included (their smaller place first)."""
    found = []
    for i, j in combinations(range(len(ranks)), 2):
        better, worse = (i, j) if ranks[i] <= ranks[j] else (j, i)
        found.append(Pair(better, worse, ranks[i] == ranks[j]))
    return found


def ranking_from(row: dict[str, Any]) -> RankingRow:
    """A row of rankings JSONL.

    Raises:
        Unusable: says what is wrong with it.
    """
    completions = row.get("completions")
    if not isinstance(completions, list) or len(completions) < 2:
        raise Unusable("a ranking needs at least two completions")
    if len(completions) > MAX_COMPLETIONS:
        raise Unusable(f"it has {len(completions)} completions; at most {MAX_COMPLETIONS} can be ranked together")
    if not all(isinstance(part, dict) for part in completions):
        raise Unusable('a completion is not an object with "text" and "rank"')
    return RankingRow(
        prompt=prompt_of(row.get("prompt")),
        completions=tuple(text_of(part.get("text"), "completion") for part in completions),
        ranks=dense([_rank(part) for part in completions]),
        annotator=annotator_of(row),
        confidence=_confidence(row.get("confidence")),
    )


def _rank(part: dict[str, Any]) -> float:
    if part.get("rank") is None:
        raise Unusable('a completion has no rank; add "rank" (1 is best, equal ranks are ties)')
    return rank_of(part["rank"])


def rank_of(value: Any) -> float:
    """A rank, 0 or more: 1, 1.0 (what pandas and Parquet write) and "1" are the same. A half is the mean rank of a tie.

    Raises:
        Unusable: it is none.
    """
    number = value
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            number = None
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < 1e6 or number * 2 != int(number * 2):
        raise Unusable(f"the rank {str(value)[:40]} is not a whole number from 0 or 1")
    return number


def _confidence(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Unusable("the confidence is not a number from 0 to 1")
    return float(value)


def ranking_to(row: RankingRow) -> dict[str, Any]:
    """The inverse of `ranking_from`."""
    completions = [{"text": text, "rank": rank} for text, rank in zip(row.completions, row.ranks, strict=True)]
    value: dict[str, Any] = {"prompt": row.prompt, "completions": completions}
    if row.annotator:
        value["annotator"] = row.annotator
    if row.confidence is not None:
        value["confidence"] = row.confidence
    return value
