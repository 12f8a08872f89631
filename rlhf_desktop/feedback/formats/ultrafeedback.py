"""UltraFeedback binarised: a text prompt, both conversations whole, their scores, and the chosen one again as `messages`.

Equal scores are a tie. https://huggingface.co/datasets/HuggingFaceH4/ultrafeedback_binarized
"""

from collections.abc import Iterator

from rlhf_desktop.core.files import sha256_text
from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import Format, Record, assistant, compared, find, has, preferences
from rlhf_desktop.feedback.formats.extras import ranks_of, with_system
from rlhf_desktop.feedback.judgements import Ranking
from rlhf_desktop.feedback.rows import FeedbackRow, RankingRow, annotator_of

_BEST, _WORST = 10.0, 1.0  # its scale; we know the order only


def fits(record: Record) -> float:
    """Both answers with their scores."""
    return 0.95 if has(record, "prompt", "chosen", "rejected", "score_chosen", "score_rejected") else 0.0


def read(record: Record, context: Context) -> Iterator[FeedbackRow]:
    """One comparison. The conversations go before `prompt`, which is only their first question."""
    prompt, texts = compared(record["prompt"], record["chosen"], record["rejected"], context)
    yield RankingRow(with_system(record, prompt), texts, ranks_of(record, context), annotator_of(record))


def write(row: FeedbackRow) -> Iterator[Record]:
    """A record for each pair with a winner, and one for a tie of two."""
    first = next(message["content"] for message in row.prompt if message["role"] == "user")
    ranking = find(row, Ranking)
    if ranking and len(ranking.ranks) == 2 and len(set(ranking.ranks)) == 1:
        yield _record(row, first, row.completions[0], row.completions[1], _BEST)
    for chosen, rejected in preferences(row):
        yield _record(row, first, chosen, rejected, _WORST)


def _record(row: FeedbackRow, first: str, chosen: str, rejected: str, other: float) -> Record:
    whole = [*row.prompt, *assistant(chosen)]
    return {
        "prompt": first,
        "prompt_id": sha256_text(first),
        "chosen": whole,
        "rejected": [*row.prompt, *assistant(rejected)],
        "messages": whole,
        "score_chosen": _BEST,
        "score_rejected": other,
    }


ULTRAFEEDBACK = Format(
    "ultrafeedback", "UltraFeedback binarised", "prompt, chosen, rejected, score_chosen, score_rejected", fits, read, write
)
