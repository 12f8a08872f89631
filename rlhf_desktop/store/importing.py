"""Feedback from files into a project and out again. Reading and writing the files is `feedback.formats` and `feedback.rankings`."""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rlhf_desktop.core.files import canonical_json, sha256_text
from rlhf_desktop.feedback.conversations import Origin
from rlhf_desktop.feedback.judgements import Demonstrated, Judgement, Ranking, Verdict, dense
from rlhf_desktop.feedback.rows import DemonstrationRow, FeedbackRow, Problem, RankingRow
from rlhf_desktop.feedback.signals import demonstrations, rankings
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
    made = {RankingRow: 0, DemonstrationRow: 0}
    duplicates = 0
    problems: list[Problem] = []
    judgements: list[Judgement] = []
    with store.connection.transaction():
        known = {j.source for j in store.judgements.effective(project_id)}
        for row in rows:
            if isinstance(row, Problem):
                problems.append(row)
                continue
            source = _source(row)
            if source in known:
                duplicates += 1
                continue
            known.add(source)
            judgements.append(_judgement(store, project_id, row, who, origin, source))
            made[type(row)] += 1
        store.judgements.add_all(judgements)
    return Imported(made[RankingRow], made[DemonstrationRow], duplicates, tuple(problems))


def _source(row: FeedbackRow) -> str:
    return "file:" + sha256_text(canonical_json([type(row).__name__, dataclasses.asdict(row)]))


def _judgement(store: Store, project_id: str, row: FeedbackRow, who: str, origin: Origin, source: str) -> Judgement:
    texts = row.completions if isinstance(row, RankingRow) else (row.completion,)
    verdict: Verdict = Ranking(row.ranks) if isinstance(row, RankingRow) else Demonstrated()
    _, leaf = store.conversations.start(project_id, row.prompt, origin)
    answers = store.conversations.add_answers(leaf.id, texts)
    return Judgement(
        project_id=project_id,
        who=row.annotator or who,
        displayed=tuple(answer.id for answer in answers),
        verdict=verdict,
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
