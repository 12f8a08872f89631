"""The questions whose answers were judged, counted and sought by their hashes: no text is read, and a million stay quick.

`judged_questions` has a row for each message that was answered and judged, kept by triggers. A question counts while one of its
judgements is in effect.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.split import heldout_edge
from rlhf_desktop.store.driver import Connection, Row, understood
from rlhf_desktop.store.judged import message_paths
from rlhf_desktop.store.projects import ProjectStore
from rlhf_desktop.store.standing import Gone, StandingStore

_CHUNK = 500
_DEAD = "(SELECT value FROM json_each(:dead))"
_JUDGED = f"SELECT q.prompt_hash FROM judged_questions q WHERE q.project_id = :project AND q.question_id NOT IN {_DEAD}"
_OF_SETS = "prompts p JOIN prompt_sets s ON s.id = p.prompt_set_id"
# What is held out by a fixed exception, else by the rule: a hash below the edge
_HELD_OUT = """coalesce((SELECT e.split = 'heldout' FROM split_exceptions e WHERE e.project_id = :project
  AND e.prompt_hash = {hash}), {hash} < :edge)"""


@dataclass(frozen=True)
class PromptCounts:
    """How many different prompts were judged, and how many of them are held out."""

    judged: int
    heldout: int


@dataclass(frozen=True)
class Unjudged:
    """The ids of the first prompts that wait, in their order; how many wait; how many prompts there are."""

    first: list[str]
    waiting: int
    total: int


class QuestionStore:
    """Reads which prompts were judged and which are held out."""

    def __init__(self, connection: Connection, standing: StandingStore, projects: ProjectStore) -> None:
        self._db = connection
        self._standing = standing
        self._projects = projects
        self._known: dict[str, tuple[Row, dict[str, int]]] = {}  # by project

    def counts(self, project_id: str) -> PromptCounts:
        """The different prompts, whole conversations before an answer, with a judgement in effect."""
        with self._db.snapshot():
            row = self._db.rows(
                f"""SELECT count(*) AS judged, coalesce(sum({_HELD_OUT.format(hash="hash")}), 0) AS heldout FROM (
                  SELECT min(q.prompt_hash) AS hash FROM judged_questions q
                  WHERE q.project_id = :project AND q.question_id NOT IN {_DEAD} GROUP BY q.prompt_hash, q.path_hash)""",
                self._values(project_id),
            )[0]
        return PromptCounts(row["judged"], row["heldout"])

    def training_prompts(self, project_id: str) -> int:
        """How many different prompts may be practised on: of the sets, and judged ones."""
        with self._db.snapshot():
            row = self._db.rows(
                f"""SELECT count(*) AS n FROM (
                  SELECT p.prompt_hash AS hash FROM {_OF_SETS} WHERE s.project_id = :project UNION {_JUDGED})
                WHERE NOT {_HELD_OUT.format(hash="hash")}""",
                self._values(project_id),
            )[0]
        return int(row["n"])

    def judged_among(self, project_id: str, hashes: Collection[str]) -> set[str]:
        """Those of these prompt hashes that belong to something judged."""
        with self._db.snapshot():
            rows = self._db.rows(
                f"{_JUDGED} AND q.prompt_hash IN (SELECT value FROM json_each(:hashes))",
                {**self._values(project_id), "hashes": json.dumps(sorted(hashes))},
            )
        return {row["prompt_hash"] for row in rows}

    def unjudged(self, project_id: str, most: int) -> "Unjudged":
        """The prompts of the project's sets that nobody has judged, of which at most so many are named."""
        with self._db.snapshot():
            values = {**self._values(project_id), "most": most}
            first = self._db.rows(
                f"""SELECT p.id FROM {_OF_SETS} WHERE s.project_id = :project AND p.prompt_hash NOT IN ({_JUDGED})
                ORDER BY s.rowid, p.position LIMIT :most""",
                values,
            )
            (row,) = self._db.rows(
                f"""SELECT count(*) AS total, coalesce(sum(p.prompt_hash NOT IN ({_JUDGED})), 0) AS waiting FROM {_OF_SETS}
                WHERE s.project_id = :project""",
                values,
            )
        return Unjudged([found["id"] for found in first], row["waiting"], row["total"])

    def coverage(self, project_id: str) -> dict[str, tuple[int, int]]:
        """For each tag how many of its prompts are judged, and how many there are. Prompts without tags count under ""."""
        with self._db.snapshot():
            rows = self._db.rows(
                f"""SELECT coalesce(t.value, '') AS tag, count(*) AS total, sum(p.prompt_hash IN ({_JUDGED})) AS judged
                FROM (SELECT p.prompt_hash, p.tags, max(p.rowid) FROM {_OF_SETS} WHERE s.project_id = :project
                  GROUP BY p.prompt_hash) p LEFT JOIN json_each(p.tags) t GROUP BY 1 ORDER BY 1""",
                self._values(project_id),
            )
        return {row["tag"]: (row["judged"], row["total"]) for row in rows}

    def heldout_count(self, project_id: str, known: Collection[str] = ()) -> int:
        """How many different prompts are never trained on, those with a `known` hash apart."""
        with self._db.snapshot():
            rows = self._db.rows(
                f"SELECT count(*) AS n FROM ({self._heldout()})", {**self._values(project_id), "known": json.dumps(list(known))}
            )
        return int(rows[0]["n"])

    def heldout(self, project_id: str, known: Collection[str] = (), limit: int = -1) -> Iterator[Messages]:
        """Prompts that are never trained on: of the project's sets in their order, then of what was judged; each once.

        Args:
            project_id: Of which project.
            known: Hashes of prompts to leave out.
            limit: At most so many; -1: all.
        """
        with self._db.snapshot():
            rows = self._db.rows(
                f"{self._heldout()} ORDER BY 4 LIMIT :limit",
                {**self._values(project_id), "known": json.dumps(list(known)), "limit": limit},
            )
            for start in range(0, len(rows), _CHUNK):
                yield from self._texts(rows[start : start + _CHUNK])

    def _heldout(self) -> str:
        """A row for each hash: the first prompt of the sets, else the first question, judged. `min` decides which row is shown."""
        return f"""SELECT hash, prompt, question, min(place) AS place FROM (
            SELECT p.prompt_hash AS hash, p.id AS prompt, NULL AS question, printf('a%020d%020d', s.rowid, p.position) AS place
            FROM {_OF_SETS} WHERE s.project_id = :project AND {_HELD_OUT.format(hash="p.prompt_hash")}
            UNION ALL
            SELECT q.prompt_hash, NULL, q.question_id, 'b' || q.question_id FROM judged_questions q
            WHERE q.project_id = :project AND q.question_id NOT IN {_DEAD} AND {_HELD_OUT.format(hash="q.prompt_hash")})
          WHERE hash NOT IN (SELECT value FROM json_each(:known)) GROUP BY hash"""

    def _texts(self, rows: list[Row]) -> Iterator[Messages]:
        wanted = json.dumps([row["prompt"] for row in rows if row["prompt"]])
        stored = self._db.rows("SELECT id, messages FROM prompts WHERE id IN (SELECT value FROM json_each(?))", (wanted,))
        with understood():
            texts = {row["id"]: json.loads(row["messages"]) for row in stored}
        texts |= message_paths(self._db, [row["question"] for row in rows if not row["prompt"]])
        yield from (texts[row["prompt"] or row["question"]] for row in rows)

    def _values(self, project_id: str) -> Row:
        share = self._projects.get(project_id).heldout_share
        return {"project": project_id, "dead": json.dumps(self._dead(project_id)), "edge": heldout_edge(share)}

    def _dead(self, project_id: str) -> list[str]:
        """Questions none of whose judgements is in effect. CROSS: each is looked up, not each question among them."""
        rows = self._db.rows(
            """SELECT q.question_id AS id FROM json_each(:gone) g CROSS JOIN judged_questions q
            ON q.project_id = :project AND q.question_id = g.key AND q.judgements <= g.value""",
            {"gone": json.dumps(self._questions_of(self._standing.gone(project_id), project_id)), "project": project_id},
        )
        return [row["id"] for row in rows]

    def _questions_of(self, gone: Gone, project_id: str) -> dict[str, int]:
        """How many judgements not in effect are about answers to each question. Kept as long as `gone` is."""
        known = self._known.get(project_id)
        if known is None or known[0] != gone.stamp:
            rows = self._db.rows(
                """SELECT m.parent_id AS id, count(*) AS n FROM json_each(?) g
                CROSS JOIN judged_completions c ON c.judgement_id = g.value AND c.position = 0
                CROSS JOIN messages m ON m.id = c.message_id WHERE m.parent_id IS NOT NULL GROUP BY m.parent_id""",
                (json.dumps([event.id for event in gone.events.values() if event.kind != "withdrawn"]),),
            )
            known = self._known[project_id] = (gone.stamp, {row["id"]: row["n"] for row in rows})
        return known[1]
