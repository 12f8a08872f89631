"""Blind evaluations and adoptions: which pairs were to be judged, and which adapter a project made its own. Ids only, no texts.

An evaluation's verdicts are judgements like any other; a pair only says which two messages belong together and how they were shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rlhf_desktop.core.errors import NotFound
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.feedback.conversations import utc_now
from rlhf_desktop.store.audit import AuditLog
from rlhf_desktop.store.driver import Connection, Row


@dataclass(frozen=True)
class EvaluationPair:
    """Both models' answers to one prompt, by message id. `new_on_left` is drawn when the pair is made."""

    position: int
    old_message: str
    new_message: str
    new_on_left: bool

    @property
    def displayed(self) -> tuple[str, str]:
        """The two messages from left to right."""
        return (self.new_message, self.old_message) if self.new_on_left else (self.old_message, self.new_message)


@dataclass(frozen=True)
class StoredEvaluation:
    """A comparison of two generators; `old_generator` and `new_generator` are ids in the generators table."""

    project_id: str
    title: str
    old_generator: str
    new_generator: str
    seed: int
    id: str = field(default_factory=new_id)
    created_at: str = field(default_factory=utc_now)


@dataclass(frozen=True)
class Adoption:
    """The moment a project made an adapter (None: the base model) the one it talks to. Rolling back is adopting an older one."""

    project_id: str
    who: str
    adapter_name: str | None = None
    adapter_hash: str | None = None
    adapter_path: str | None = None
    run_id: str | None = None
    evaluation_id: str | None = None
    id: str = field(default_factory=new_id)
    created_at: str = field(default_factory=utc_now)


class EvaluationStore:
    """Reads and adds evaluations and adoptions."""

    def __init__(self, connection: Connection, audit: AuditLog | None = None) -> None:
        self._db = connection
        self._audit = audit or AuditLog(connection)

    def add(self, evaluation: StoredEvaluation) -> None:
        """Add an evaluation, without pairs yet."""
        self._db.insert("evaluations", [vars(evaluation)])

    def add_pairs(self, evaluation_id: str, pairs: Sequence[EvaluationPair]) -> None:
        """Add pairs to an evaluation, all or none."""
        rows = [{"evaluation_id": evaluation_id, **vars(pair), "new_on_left": int(pair.new_on_left)} for pair in pairs]
        with self._db.transaction():
            self._db.insert("evaluation_pairs", rows)

    def get(self, evaluation_id: str) -> StoredEvaluation:
        """The evaluation with this id, or whose id begins so.

        Raises:
            NotFound: there is none, or several begin so.
        """
        rows = self._db.rows("SELECT * FROM evaluations WHERE substr(id, 1, length(?1)) = ?1", (evaluation_id,))
        if len(rows) != 1 or not evaluation_id:
            raise NotFound("There is no such evaluation.", "“evaluate list” shows the evaluations there are.", evaluation_id)
        return StoredEvaluation(**rows[0])

    def all(self, project_id: str) -> list[StoredEvaluation]:
        """A project's evaluations, newest first."""
        rows = self._db.rows("SELECT * FROM evaluations WHERE project_id = ? ORDER BY rowid DESC", (project_id,))
        return [StoredEvaluation(**row) for row in rows]

    def pairs(self, evaluation_id: str) -> list[EvaluationPair]:
        """An evaluation's pairs, in the order they are shown."""
        rows = self._db.rows("SELECT * FROM evaluation_pairs WHERE evaluation_id = ? ORDER BY position", (evaluation_id,))
        return [_pair(row) for row in rows]

    def judgements_of(self, evaluation_id: str) -> list[str]:
        """Ids of all events about an evaluation's answers, in effect or not, oldest first."""
        rows = self._db.rows(
            """SELECT DISTINCT j.rowid AS place, j.id FROM evaluation_pairs p
            JOIN judged_completions c ON c.message_id IN (p.old_message, p.new_message)
            JOIN judgements j ON j.id = c.judgement_id WHERE p.evaluation_id = ? ORDER BY j.rowid""",
            (evaluation_id,),
        )
        return [row["id"] for row in rows]

    def adopt(self, adoption: Adoption) -> None:
        """Add an adoption."""
        facts = {"adapter": adoption.adapter_hash, "run": adoption.run_id, "evaluation": adoption.evaluation_id}
        with self._db.transaction():
            self._db.insert("adoptions", [vars(adoption)])
            self._audit.note("adopted", project=adoption.project_id, who=adoption.who, **facts)

    def adoptions(self, project_id: str) -> list[Adoption]:
        """A project's adoptions, newest first."""
        rows = self._db.rows("SELECT * FROM adoptions WHERE project_id = ? ORDER BY rowid DESC", (project_id,))
        return [Adoption(**row) for row in rows]


def _pair(row: Row) -> EvaluationPair:
    return EvaluationPair(row["position"], row["old_message"], row["new_message"], bool(row["new_on_left"]))
