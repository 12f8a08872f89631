"""What a bundle's erasures would take, one by one: by the conversation, or the prompt of a set, that they are about.

Two conversations that cannot go without one another (a judgement of one replaces one of the other) are one erasure. So each can be
accepted or declined by itself.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rlhf_desktop.feedback.attachments import question_of
from rlhf_desktop.store.driver import Connection, Row
from rlhf_desktop.store.erasing import Doomed

_OPENING_CHARS = 90
_AMONG = "IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True)
class Erasure:
    """One thing that a colleague has erased and that is here.

    Attributes:
        key: What it is called where it is chosen.
        opening: How its prompt begins, on one line.
        judgements: How many would go.
        answers: How many.
        prompts: Prompts of sets that would go with it.
        people: Who judged.
        ids: What the bundle names of it.
    """

    key: str
    opening: str
    judgements: int
    answers: int
    prompts: int
    people: tuple[str, ...]
    ids: tuple[str, ...]


class _Sets:
    """Things that belong together: each has the first of its set as its name."""

    def __init__(self) -> None:
        self._up: dict[str, str] = {}

    def of(self, one: str) -> str:
        """The name of its set."""
        while (above := self._up.get(one, one)) != one:
            self._up[one] = self._up.get(above, above)
            one = above
        return one

    def join(self, one: str, other: str) -> None:
        """From now on these two are in one set."""
        first, second = sorted((self.of(one), self.of(other)))
        if first != second:
            self._up[second] = first


def erasures(db: Connection, ids: Sequence[str], going: Doomed) -> tuple[Erasure, ...]:
    """What these erasures would take, in the order in which it was begun.

    Args:
        db: Where.
        ids: What they name.
        going: All that would go with it (`doomed`).
    """
    with db.snapshot():
        return _Found(db, ids, going).all()


class _Found:
    def __init__(self, db: Connection, ids: Sequence[str], going: Doomed) -> None:
        self._db, self._ids, self._sets = db, ids, _Sets()
        self._messages = {row["id"]: row for row in self._rows("SELECT id, conversation_id, role FROM messages", going.messages)}
        judged = self._rows(
            """SELECT j.id, j.who, j.supersedes, m.conversation_id FROM judgements j
            JOIN judged_completions c ON c.judgement_id = j.id AND c.position = 0 JOIN messages m ON m.id = c.message_id""",
            going.judgements,
            "j.id",
        )
        self._judgements = {row["id"]: row for row in judged}
        self._prompts = {row["id"]: row for row in self._rows("SELECT id, messages, prompt_hash FROM prompts", ids)}
        self._place: dict[str, str] = {one: row["conversation_id"] for one, row in (self._messages | self._judgements).items()}
        self._place |= {row["id"]: row["id"] for row in self._rows("SELECT id FROM conversations", ids)}
        for row in judged:
            if (before := self._judgements.get(row["supersedes"] or "")) is not None:
                self._sets.join(row["conversation_id"], before["conversation_id"])
        self._place_prompts()

    def _rows(self, sql: str, ids: Iterable[str], column: str = "id") -> list[Row]:
        return self._db.rows(f"{sql} WHERE {column} {_AMONG}", (json.dumps(list(ids)),))

    def _place_prompts(self) -> None:
        """A prompt of a set goes with the conversation that asks the same, where one goes."""
        hashes = [row["prompt_hash"] for row in self._prompts.values()]
        asked = self._db.rows(
            f"""SELECT q.prompt_hash, m.conversation_id FROM judged_questions q JOIN messages m ON m.id = q.question_id
            WHERE q.prompt_hash {_AMONG}""",
            (json.dumps(hashes),),
        )
        there = set(self._place.values())
        same = {row["prompt_hash"]: row["conversation_id"] for row in asked if row["conversation_id"] in there}
        self._place |= {one: same.get(row["prompt_hash"], one) for one, row in self._prompts.items()}

    def all(self) -> tuple[Erasure, ...]:
        found: dict[str, list[str]] = {}
        for one in self._place:
            found.setdefault(self._sets.of(self._place[one]), []).append(one)
        named = set(self._ids)
        openings = self._openings({self._place[one] for ones in found.values() for one in ones})
        made = [self._erasure(key, ones, named, openings) for key, ones in found.items()]
        return tuple(sorted((one for one in made if one.ids), key=lambda one: (one.key, one.opening)))

    def _erasure(self, key: str, ones: Sequence[str], named: set[str], openings: dict[str, str]) -> Erasure:
        judgements = [self._judgements[one] for one in ones if one in self._judgements]
        answers = sum(self._messages[one]["role"] == "assistant" for one in ones if one in self._messages)
        prompts = [self._prompts[one] for one in ones if one in self._prompts]
        opening = openings.get(key) or next((_opening(_last_text(row)) for row in prompts), "")
        people = tuple(dict.fromkeys(row["who"] for row in judgements))
        return Erasure(
            key, opening, len(judgements), answers, len(prompts), people, tuple(one for one in ones if one in named)
        )  # fmt: skip

    def _openings(self, conversations: Iterable[str]) -> dict[str, str]:
        """How each conversation's first question begins."""
        rows = self._db.rows(
            f"""SELECT conversation_id, content, min(rowid) FROM messages WHERE role = 'user' AND conversation_id {_AMONG}
            GROUP BY conversation_id""",
            (json.dumps(list(conversations)),),
        )
        return {row["conversation_id"]: _opening(row["content"]) for row in rows}


def _last_text(prompt: Row) -> str:
    messages = json.loads(prompt["messages"])
    return str(messages[-1]["content"]) if messages else ""


def _opening(content: str) -> str:
    """The first words of a question; of one with files, of what was asked of them."""
    text = " ".join(question_of(content).split())
    return text if len(text) <= _OPENING_CHARS else text[: _OPENING_CHARS - 1].rstrip() + "…"
