"""Judgements in effect with their prompts, texts and halves of the split: what trainers and exports are made from."""

import json
from collections.abc import Iterator, Sequence
from typing import get_args

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.conversations import MessageNode, path_to
from rlhf_desktop.feedback.judgements import Judgement, Kind
from rlhf_desktop.feedback.signals import Judged
from rlhf_desktop.feedback.split import Splitter
from rlhf_desktop.store.driver import Connection, understood
from rlhf_desktop.store.judgements import JudgementStore
from rlhf_desktop.store.projects import ProjectStore
from rlhf_desktop.store.standing import StandingStore

_CHUNK = 500


class JudgedStore:
    """Reads judgements with what they are about."""

    def __init__(self, connection: Connection, judgements: JudgementStore, standing: StandingStore, projects: ProjectStore) -> None:
        self._db = connection
        self._judgements, self._standing, self._projects = judgements, standing, projects

    def all(self, project_id: str) -> list[Judged]:
        """The judgements in effect with their prompts and texts, oldest first: what trainers are made from."""
        with self._db.snapshot():
            return list(self.stream(project_id))

    def stream(self, project_id: str) -> Iterator[Judged]:
        """`all`, some at a time, so that a million cost little memory."""
        return self._stream(project_id, self._projects.splitter(project_id))

    def sample(self, project_id: str, each: int) -> list[Judged]:
        """`all`, of each form and purpose only what was judged last: enough to say whether there is enough. Oldest first."""
        split = self._projects.splitter(project_id)
        beside = "SELECT judgement_id AS id FROM judgements_also WHERE project_id = :project AND kind = :kind"
        main = "SELECT id FROM judgements WHERE project_id = :project AND kind = :kind"
        decided = "SELECT id FROM judgements WHERE project_id = :project AND purpose != 'label' AND purpose = 'adjudication'"
        with self._db.snapshot():
            gone, ids = self._standing.gone(project_id).events, set[str]()
            for sql in (main, beside, decided):
                for kind in get_args(Kind) if sql is not decided else ("",):
                    values = {"project": project_id, "kind": kind, "each": each}
                    ids |= {row["id"] for row in self._db.rows(f"{sql} ORDER BY created_at DESC LIMIT :each", values)}
            found = self._judgements.by_ids(sorted(ids - gone.keys()))
            nodes = _shown(self._db, found)
        return [_judged(judgement, nodes, split) for judgement in found if judgement.kind != "withdrawn"]

    def _stream(self, project_id: str, split: Splitter) -> Iterator[Judged]:
        for chunk in self._in_effect(project_id):
            nodes = _shown(self._db, chunk)
            yield from (_judged(judgement, nodes, split) for judgement in chunk)

    def _in_effect(self, project_id: str) -> Iterator[list[Judgement]]:
        gone, after = self._standing.gone(project_id).events, 0
        while page := self._db.rows(
            "SELECT rowid, id FROM judgements WHERE project_id = ? AND kind != 'withdrawn' AND rowid > ? ORDER BY rowid LIMIT ?",
            (project_id, after, _CHUNK),
        ):
            after = page[-1]["rowid"]
            yield self._judgements.by_ids([row["id"] for row in page if row["id"] not in gone])


def message_paths(db: Connection, message_ids: Sequence[str]) -> dict[str, Messages]:
    """Each of these messages with all before it."""
    nodes = _upwards(db, "SELECT value FROM json_each(?)", message_ids)
    return {key: [node.message for node in path_to(nodes[key], nodes)] for key in message_ids}


def _shown(db: Connection, judgements: Sequence[Judgement]) -> dict[str, MessageNode]:
    """The completions of these judgements and every message before them."""
    shown = "SELECT message_id FROM judged_completions WHERE judgement_id IN (SELECT value FROM json_each(?))"
    return _upwards(db, shown, [judgement.id for judgement in judgements])


def _upwards(db: Connection, start: str, ids: Sequence[str]) -> dict[str, MessageNode]:
    """The messages that `start` selects by a JSON list of ids, and every message before them."""
    rows = db.rows(
        f"""WITH RECURSIVE path(id) AS ({start}
          UNION SELECT m.parent_id FROM messages m JOIN path ON m.id = path.id WHERE m.parent_id IS NOT NULL)
        SELECT m.* FROM messages m JOIN path ON m.id = path.id""",
        (json.dumps(list(ids)),),
    )
    return {row["id"]: MessageNode(**row) for row in rows}


def _judged(judgement: Judgement, nodes: dict[str, MessageNode], split: Splitter) -> Judged:
    with understood():
        shown = [nodes[message_id] for message_id in judgement.displayed]
        prompt = [node.message for node in path_to(shown[0], nodes)[:-1]]
    return Judged(judgement, prompt, tuple(node.content for node in shown), split(prompt))
