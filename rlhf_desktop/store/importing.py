"""Feedback from files into a project and out again. Reading and writing the files is `feedback.formats` and `feedback.rankings`."""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rlhf_desktop.core.files import canonical_json, sha256_text
from rlhf_desktop.feedback.conversations import Origin
from rlhf_desktop.feedback.judgements import Demonstrated, Judgement, Ranking, dense
from rlhf_desktop.feedback.rows import DemonstrationRow, FeedbackRow, Problem, RankingRow
from rlhf_desktop.feedback.signals import demonstrations, rankings
from rlhf_desktop.store.conversations import Planted
from rlhf_desktop.store.database import Store


@dataclass(frozen=True)
class Imported:
    """What an import did. Duplicates are rows the project had already; problems are lines that were left out."""

    rankings: int = 0
    demonstrations: int = 0
    duplicates: int = 0
    problems: tuple[Problem, ...] = ()


def import_rows(
    store: Store, project_id: str, rows: Iterable[FeedbackRow | Problem], who: str = "", origin: Origin = "import"
) -> Imported:
    """Add feedback to a project in one transaction: all usable rows, or (when something breaks) none.

    A row that the project holds already, in effect, changes nothing, so importing a file twice is harmless.

    Args:
        store: Where to.
        project_id: Which project.
        rows: What a reader yields, problems included.
        who: The judge of rows that name none.
        origin: How the conversations made are marked.
    """
    with store.connection.transaction():
        known = {j.source for j in store.judgements.effective(project_id)}
        fresh: dict[str, FeedbackRow] = {}
        problems: list[Problem] = []
        duplicates = 0
        for row in rows:
            if isinstance(row, Problem):
                problems.append(row)
            elif (source := _source(row)) in known or source in fresh:
                duplicates += 1
            else:
                fresh[source] = row
        planted = store.conversations.plant(project_id, [(row.prompt, _texts(row)) for row in fresh.values()], origin)
        added = zip(fresh.items(), planted, strict=True)
        store.judgements.add_all([_judgement(project_id, row, source, who, p) for (source, row), p in added])
    ranked = sum(isinstance(row, RankingRow) for row in fresh.values())
    return Imported(ranked, len(fresh) - ranked, duplicates, tuple(problems))


def _source(row: FeedbackRow) -> str:
    return "file:" + sha256_text(canonical_json([type(row).__name__, dataclasses.asdict(row)]))


def _texts(row: FeedbackRow) -> tuple[str, ...]:
    return row.completions if isinstance(row, RankingRow) else (row.completion,)


def _judgement(project_id: str, row: FeedbackRow, source: str, who: str, planted: Planted) -> Judgement:
    return Judgement(
        project_id=project_id,
        who=row.annotator or who,
        displayed=tuple(answer.id for answer in planted.answers),
        verdict=Ranking(row.ranks) if isinstance(row, RankingRow) else Demonstrated(),
        confidence=row.confidence if isinstance(row, RankingRow) else None,
        source=source,
    )


def exported(store: Store, project_id: str) -> Iterator[FeedbackRow]:
    """A project's feedback in effect, as rows to write: rankings (and corrections over their originals), then demonstrations."""
    judged = store.judged(project_id)
    for item in judged:
        for ranking in rankings([item]):
            texts, ranks = zip(*((answer.text, answer.rank) for answer in ranking.completions), strict=True)
            yield RankingRow(ranking.prompt, texts, dense(ranks), item.judgement.who, ranking.confidence)
    for item in judged:
        for demonstration in demonstrations([item]):
            yield DemonstrationRow(demonstration.prompt, demonstration.completion, item.judgement.who)
