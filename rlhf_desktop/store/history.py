"""Every judgement as a list reads it: filtered, searched, sorted, a page at a time.

A page is found by where the last one ended (keyset), never by counting rows, so the millionth row costs what the first does.
"""

from collections.abc import Iterator, Sequence

from rlhf_desktop.feedback.judgements import Judgement
from rlhf_desktop.store.driver import Connection
from rlhf_desktop.store.judgements import JudgementStore
from rlhf_desktop.store.listing import Cursor, Found, HistoryQuery, Sort, count_rows, next_rows
from rlhf_desktop.store.search import Words
from rlhf_desktop.store.standing import StandingStore

__all__ = ["Cursor", "HistoryQuery", "HistoryStore", "Sort"]

_ROUNDS = 4  # looking for judgements in effect among many that are not
_BEGUN = 300  # words that begin alike


class HistoryStore:
    """Reads the history of a project."""

    def __init__(self, connection: Connection, judgements: JudgementStore, standing: StandingStore) -> None:
        self._db = connection
        self._judgements = judgements
        self._standing = standing
        self._words = Words()

    def close(self) -> None:
        """Free what the search holds."""
        self._words.close()

    def page(
        self, project_id: str, query: HistoryQuery, after: Cursor | None = None, limit: int = 100
    ) -> tuple[list[tuple[Judgement, bool]], Cursor | None]:
        """Some of the next judgements, each with whether it is in effect, and where to go on; None at the end.

        What is rare comes in small pages, or in an empty one with a place to go on: a call is short, the next one looks further.
        """
        found: list[tuple[Judgement, bool]] = []
        with self._db.snapshot():
            for _ in range(_ROUNDS):
                next_ = self._rows(project_id, query, after, limit)
                found += self._loaded(next_.rows, query.standing)
                after = next_.reached
                if after is None or len(found) >= limit or not (query.standing and next_.rows):
                    break
        return found, after

    def count(self, project_id: str, query: HistoryQuery, at_most: int = 10_000) -> int:
        """How many there are, in effect or not; `at_most` stands for that many or more."""
        match = self._match(query)
        return 0 if match is None else count_rows(self._db, project_id, query, match, at_most)

    def _loaded(self, cursors: Sequence[Cursor], only_standing: bool) -> Iterator[tuple[Judgement, bool]]:
        judgements = self._judgements.by_rows([cursor.row for cursor in cursors])
        standing = self._standing.among([j.id for j in judgements])
        for judgement in judgements:
            if judgement.id in standing or not only_standing:
                yield judgement, judgement.id in standing

    def _begun(self, word: str) -> str:
        """All words that begin so, one by one: a search for them ends with its page; one for `word*` lists all it finds first."""
        rows = self._db.rows(
            "SELECT term FROM judgement_words WHERE term >= ? AND term < ? LIMIT ?", (word, word + "\U0010ffff", _BEGUN + 1)
        )
        words = [f'"{row["term"]}"' for row in rows]
        return f"({' OR '.join(words)})" if 0 < len(words) <= _BEGUN else f'"{word}"*'

    def _rows(self, project_id: str, query: HistoryQuery, after: Cursor | None, limit: int) -> Found:
        match = self._match(query)
        return Found((), None) if match is None else next_rows(self._db, project_id, query, match, after, limit)

    def _match(self, query: HistoryQuery) -> str | None:
        """The query of the full-text index; "" when there is nothing to look for, None when what was typed holds no word."""
        return (self._words.match(query.text, self._begun) or None) if query.text.strip() else ""
