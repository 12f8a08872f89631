"""Feedback from files into a project and out again. Reading and writing the files is `feedback.formats`."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice

from rlhf_desktop.core.files import canonical_json, sha256_text
from rlhf_desktop.core.thoughts import split_thought
from rlhf_desktop.feedback.conversations import Origin
from rlhf_desktop.feedback.judgements import Correction, Judgement, Skip, Spans, Verdict, effective, verdict_to_json
from rlhf_desktop.feedback.rows import DemonstrationRow, FeedbackRow, JudgedRow, Problem, RankingRow, UnjudgedRow, row_of
from rlhf_desktop.feedback.signals import Judged
from rlhf_desktop.store.conversations import Planted
from rlhf_desktop.store.database import Store

_CHUNK = 500
OFFERED = "label_offered"  # the setting that holds questions which came with answers to be judged


@dataclass(frozen=True)
class Imported:
    """What an import did. Duplicates are rows the project had already; problems are rows that were left out.

    `kinds` counts what was said by its form; `alternatives` are questions with several answers to be judged, `questions` those with
    one.
    """

    rankings: int = 0
    demonstrations: int = 0
    others: int = 0
    duplicates: int = 0
    problems: tuple[Problem, ...] = ()
    kinds: Mapping[str, int] = field(default_factory=dict)
    alternatives: int = 0
    questions: int = 0


def import_rows(
    store: Store,
    project_id: str,
    rows: Iterable[FeedbackRow | Problem],
    who: str = "",
    origin: Origin = "import",
    title: str = "Imported questions",
) -> Imported:
    """Add feedback to a project in one transaction: all usable rows, or (when something breaks) none.

    A row that the project holds already, in effect, changes nothing, so importing a file twice is harmless.

    Args:
        store: Where to.
        project_id: Which project.
        rows: What a reader yields, problems included.
        who: The judge of rows that name none.
        origin: How the conversations made are marked.
        title: The prompt set that questions to be judged go to.
    """
    import_ = _Import(store, project_id, who, origin)
    source = iter(rows)
    with store.audit.together("imported", project=project_id) as noted:
        while chunk := list(islice(source, _CHUNK)):
            import_.add(chunk)
        import_.offer(title)
        done = import_.done()
        asked = done.alternatives + done.questions
        noted.facts |= {"duplicates": done.duplicates, "left_out": len(done.problems), "questions": asked}
        noted.nothing = not noted.count and not asked
    return done


class _Import:
    """One import under way. Sources added before are known from the database: it sees its own transaction."""

    def __init__(self, store: Store, project_id: str, who: str, origin: Origin) -> None:
        self._store, self._project, self._who, self._origin = store, project_id, who, origin
        self._problems: list[Problem] = []
        self._counts: dict[type[FeedbackRow], int] = {RankingRow: 0, DemonstrationRow: 0, JudgedRow: 0}
        self._kinds: Counter[str] = Counter()
        self._duplicates = 0
        self._open: dict[str, tuple[UnjudgedRow, Planted]] = {}
        self._offered = store.settings.get(OFFERED, [], project_id)

    def add(self, chunk: list[FeedbackRow | Problem]) -> None:
        self._problems += [row for row in chunk if isinstance(row, Problem)]
        self._keep_open([row for row in chunk if isinstance(row, UnjudgedRow)])
        rows = [row for row in chunk if not isinstance(row, Problem | UnjudgedRow)]
        found = {_source(row): row for row in rows}
        for known in self._known(list(found)):
            del found[known]
        self._duplicates += len(rows) - len(found)
        planted = self._store.conversations.plant(
            self._project, [(row.prompt, row.completions) for row in found.values()], self._origin
        )
        added = zip(found.items(), planted, strict=True)
        self._store.judgements.add_all([_judgement(self._project, row, source, self._who, p) for (source, row), p in added])
        for row in found.values():
            self._counts[type(row)] += 1
            self._kinds.update(verdict.kind for verdict in row.verdicts)

    def _keep_open(self, rows: list[UnjudgedRow]) -> None:
        """Plant the questions that are to be judged, each once."""
        known = {one["source"] for one in self._offered} | self._open.keys()
        found = {source: row for row in rows if (source := _source(row)) not in known}
        self._duplicates += len(rows) - len(found)
        parts = [(row.prompt, row.completions) for row in found.values()]
        planted = self._store.conversations.plant(self._project, parts, self._origin)
        self._open |= {source: (row, one) for (source, row), one in zip(found.items(), planted, strict=True)}

    def offer(self, title: str) -> None:
        """Put what is to be judged into a prompt set, and remember the answers that are there already."""
        if not self._open:
            return
        taken = {made.name.casefold() for made in self._store.prompts.sets(self._project)}
        names = (title if n == 1 else f"{title} {n}" for n in range(1, len(taken) + 2))
        name = next(free for free in names if free.casefold() not in taken)
        self._store.prompts.create_set(self._project, name, [row.prompt for row, _ in self._open.values()])
        prompts = self._store.prompts.prompts(self._project, name)
        made = [
            {
                "source": source,
                "prompt": prompt.id,
                "conversation": planted.conversation.id,
                "answers": [a.id for a in planted.answers],
            }
            for (source, (_, planted)), prompt in zip(self._open.items(), prompts, strict=True)
        ]
        self._store.settings.set(OFFERED, [*self._offered, *made], self._project)

    def _known(self, sources: list[str]) -> set[str]:
        """Those of these sources that a judgement in effect came from."""
        rows = self._store.connection.rows(
            "SELECT id FROM judgements WHERE project_id = ? AND source != '' AND source IN (SELECT value FROM json_each(?))",
            (self._project, json.dumps(sources)),
        )
        events = self._store.judgements.later([row["id"] for row in rows]) if rows else []
        return {event.source for event in effective(events)} & set(sources)

    def done(self) -> Imported:
        n = self._counts
        several = sum(len(row.completions) > 1 for row, _ in self._open.values())
        return Imported(
            n[RankingRow], n[DemonstrationRow], n[JudgedRow], self._duplicates, tuple(self._problems), dict(self._kinds), several,
            len(self._open) - several,
        )  # fmt: skip


def _source(row: FeedbackRow) -> str:
    value = asdict(row)
    if isinstance(row, JudgedRow):
        value["verdicts"] = [verdict_to_json(verdict) for verdict in row.verdicts]
    return "file:" + sha256_text(canonical_json([type(row).__name__, value]))


def _judgement(project_id: str, row: FeedbackRow, source: str, who: str, planted: Planted) -> Judgement:
    left_out = [len(text) - len(answer.content) for text, answer in zip(row.completions, planted.answers, strict=True)]
    found = [_about_answers(verdict, left_out) for verdict in row.verdicts]
    said = tuple(verdict for verdict in found if verdict) or (Skip("only what was thought was marked"),)
    return Judgement(
        project_id=project_id,
        who=row.annotator or who,
        displayed=tuple(answer.id for answer in planted.answers),
        verdict=said[0],
        also=said[1:],
        critique=row.critique,
        confidence=row.confidence,
        source=source,
    )


def _about_answers(verdict: Verdict, left_out: Sequence[int]) -> Verdict | None:
    """A verdict on texts as one on answers, which begin so many characters later: thoughts are kept apart.

    None where it was on thoughts alone.
    """
    if isinstance(verdict, Correction):
        return replace(verdict, text=split_thought(verdict.text)[1])
    if not isinstance(verdict, Spans):
        return verdict
    kept = tuple(
        replace(span, start=max(0, span.start - left_out[span.index]), end=span.end - left_out[span.index])
        for span in verdict.spans
        if span.end > left_out[span.index]
    )
    return replace(verdict, spans=kept) if kept else None


def exported(judged: Iterable[Judged]) -> Iterator[FeedbackRow]:
    """Feedback as rows to write, in the order given. Skips, flags and repeats are not exported: they say nothing of the answers."""
    for item in judged:
        j = item.judgement
        if j.kind not in ("skip", "flag") and j.purpose != "repeat":
            yield row_of(item.prompt, item.completions, j.verdicts, j.who, j.confidence, j.critique)
