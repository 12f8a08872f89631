"""Our own rankings JSONL (see `feedback.rankings`): a ranking of any number of answers, ties included."""

from collections.abc import Iterator
from dataclasses import replace

from rlhf_desktop.feedback.formats.asking import Context, Question
from rlhf_desktop.feedback.formats.base import Format, Record, preferences
from rlhf_desktop.feedback.formats.extras import with_system
from rlhf_desktop.feedback.formats.scales import number_of
from rlhf_desktop.feedback.judgements import Correction, Ranking
from rlhf_desktop.feedback.rankings import ranking_from, ranking_to
from rlhf_desktop.feedback.rows import FeedbackRow, JudgedRow, RankingRow


def fits(record: Record) -> float:
    """Completions with ranks."""
    completions = record.get("completions")
    if not isinstance(completions, list):
        return 0.0
    return 1.0 if completions and isinstance(completions[0], dict) and "rank" in completions[0] else 0.6


def read(record: Record, context: Context) -> Iterator[FeedbackRow]:
    """One ranking."""
    row = ranking_from(record)
    if any(number_of(part.get("rank")) == 0 for part in record["completions"]):
        context.ask(
            Question("rank-0", "Some ranks begin with 0. Is 0 the best?", (("best", "0 is the best, then 1, 2, …"),), "best")
        )
    yield replace(row, prompt=with_system(record, row.prompt))


def write(row: FeedbackRow) -> Iterator[Record]:
    """The ranking with its ties, then each correction over its original."""
    for verdict in row.verdicts:
        if isinstance(verdict, Ranking):
            yield ranking_to(RankingRow(row.prompt, row.completions, verdict.ranks, row.annotator, row.confidence))
        elif isinstance(verdict, Correction):
            one = JudgedRow(row.prompt, row.completions, (verdict,))
            for texts in preferences(one):
                yield ranking_to(RankingRow(row.prompt, texts, (1, 2), row.annotator, row.confidence))


RANKINGS = Format("rankings", "Rankings", "prompt, completions with text and rank", fits, read, write)
