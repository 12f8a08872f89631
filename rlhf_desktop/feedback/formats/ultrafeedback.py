"""UltraFeedback binarised: a text prompt, both conversations whole, their scores, and the chosen one again as `messages`.

And UltraFeedback as it was published: `instruction` and `completions`, each with its marks by GPT-4 (openbmb/UltraFeedback).

Equal scores are a tie. https://huggingface.co/datasets/HuggingFaceH4/ultrafeedback_binarized
"""

from collections.abc import Iterator

from rlhf_desktop.core.files import sha256_text
from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import Format, Record, assistant, compared, find, has, preferences
from rlhf_desktop.feedback.formats.extras import ranks_of, with_system
from rlhf_desktop.feedback.formats.scales import number_of, whole_of
from rlhf_desktop.feedback.judgements import Ranking, Rating, Ratings, Verdict
from rlhf_desktop.feedback.rows import FeedbackRow, RankingRow, annotator_of, prompt_of, row_of, text_of

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


# --- as published

_ASPECTS = ("helpfulness", "honesty", "instruction_following", "truthfulness")


def _raw_fits(record: Record) -> float:
    completions = record.get("completions")
    first = completions[0] if isinstance(completions, list) and completions else None
    return 1.0 if "instruction" in record and isinstance(first, dict) and "response" in first else 0.0


def _read_raw(record: Record, context: Context) -> Iterator[FeedbackRow]:
    """The answers in the order of their fine-grained scores, with their marks by aspect and what GPT-4 wrote about them.

    `overall_score` is not used where there is a fine-grained one: it is known to hold 1 for some of the best answers.
    """
    completions = record["completions"]
    texts = [text_of(one.get("response"), "response") for one in completions]
    marks = {aspect: tuple(_aspect(one, aspect) for one in completions) for aspect in _ASPECTS}
    verdicts: list[Verdict] = []
    ratings = tuple(Rating(aspect, 5, given) for aspect, given in marks.items() if any(given))
    scores = [_raw_score(one) for one in completions]
    if len(texts) > 1 and None not in scores:
        verdicts.append(Ranking(_by_score([score for score in scores if score is not None])))
    verdicts += [Ratings(ratings)] if ratings else []
    notes = [
        f"Answer {n}: {one['critique'].strip()}" for n, one in enumerate(completions, 1) if isinstance(one.get("critique"), str)
    ]
    context.note("The models' names and the reasons of single marks are left out")
    prompt = with_system(record, prompt_of(record["instruction"]))
    yield row_of(prompt, texts, verdicts, annotator_of(record), critique="\n".join(notes))


def _aspect(completion: Record, aspect: str) -> int | None:
    """A mark from 1 to 5; none where it says N/A."""
    annotations = completion.get("annotations")
    given = annotations.get(aspect) if isinstance(annotations, dict) else None
    mark = whole_of(given.get("Rating") if isinstance(given, dict) else given)
    return mark if mark is not None and 1 <= mark <= 5 else None


def _raw_score(completion: Record) -> float | None:
    fine = number_of(completion.get("fine-grained_score"))
    given = [mark for aspect in _ASPECTS if (mark := _aspect(completion, aspect))]
    mean = sum(given) / len(given) if given else None
    return next((score for score in (fine, mean, number_of(completion.get("overall_score"))) if score is not None), None)


def _by_score(scores: list[float]) -> tuple[int, ...]:
    places = {score: place for place, score in enumerate(sorted(set(scores), reverse=True), 1)}
    return tuple(places[score] for score in scores)


ULTRAFEEDBACK_RAW = Format(
    "ultrafeedback-raw", "UltraFeedback as published", "instruction, completions with response and marks", _raw_fits, _read_raw
)
ULTRAFEEDBACK = Format(
    "ultrafeedback", "UltraFeedback binarised", "prompt, chosen, rejected, score_chosen, score_rejected", fits, read, write
)
