"""Tags on judgements: the one thing about a judgement that changes. The newest word on a tag counts, so that merges agree."""

import json
from collections.abc import Iterable

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.conversations import utc_now
from rlhf_desktop.store.driver import Connection

MAX_TAG_CHARS = 60


def checked_tag(tag: str) -> str:
    """A tag without needless spaces.

    Raises:
        BadInput: it is empty or long.
    """
    tag = " ".join(tag.split())
    if not tag:
        raise BadInput("A tag needs a name.", "Type a name.")
    if len(tag) > MAX_TAG_CHARS:
        raise BadInput(f"This tag has {len(tag)} characters.", f"Use at most {MAX_TAG_CHARS}.")
    return tag


class TagStore:
    """Reads and writes the tags of judgements, many at once."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def add(self, judgement_ids: Iterable[str], tag: str) -> int:
        """Tag these judgements. Returns how many did not have the tag."""
        return self._set(judgement_ids, checked_tag(tag), present=True)

    def remove(self, judgement_ids: Iterable[str], tag: str) -> int:
        """Take a tag off these judgements. Returns how many had it."""
        return self._set(judgement_ids, checked_tag(tag), present=False)

    def _set(self, judgement_ids: Iterable[str], tag: str, present: bool) -> int:
        values = {"ids": json.dumps(list(judgement_ids)), "tag": tag, "present": int(present), "now": utc_now()}
        with self._db.transaction():
            return self._db.execute(
                """INSERT INTO judgement_tags (judgement_id, tag, present, changed_at)
                SELECT j.id, :tag, :present, :now FROM judgements j
                LEFT JOIN judgement_tags t ON t.judgement_id = j.id AND t.tag = :tag
                WHERE j.id IN (SELECT value FROM json_each(:ids)) AND coalesce(t.present, 0) != :present
                ON CONFLICT (judgement_id, tag) DO UPDATE SET present = excluded.present, changed_at = excluded.changed_at""",
                values,
            )

    def of(self, judgement_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The tags of these judgements, in alphabetical order; those without any are left out."""
        rows = self._db.rows(
            """SELECT judgement_id, tag FROM judgement_tags WHERE present
            AND judgement_id IN (SELECT value FROM json_each(?)) ORDER BY judgement_id, tag COLLATE NOCASE""",
            (json.dumps(list(judgement_ids)),),
        )
        found: dict[str, tuple[str, ...]] = {}
        for row in rows:
            found[row["judgement_id"]] = (*found.get(row["judgement_id"], ()), row["tag"])
        return found

    def counts(self, project_id: str, at_most: int = 1_000) -> dict[str, int]:
        """The project's tags and how many judgements have each, in alphabetical order; `at_most` stands for that many or more."""
        rows = self._db.rows(  # jumps from tag to tag in the index
            """WITH RECURSIVE tags(tag) AS (
              SELECT min(tag) FROM judgement_tags WHERE present
              UNION ALL
              SELECT (SELECT min(t.tag) FROM judgement_tags t WHERE t.present AND t.tag > tags.tag)
              FROM tags WHERE tags.tag IS NOT NULL)
            SELECT tag, (SELECT count(*) FROM (SELECT 1 FROM judgement_tags t CROSS JOIN judgements j ON j.id = t.judgement_id
              WHERE t.tag = tags.tag AND t.present AND j.project_id = ? LIMIT ?)) AS n
            FROM tags WHERE tag IS NOT NULL ORDER BY tag COLLATE NOCASE""",
            (project_id, at_most),
        )
        return {row["tag"]: row["n"] for row in rows if row["n"]}
