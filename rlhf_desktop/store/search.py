"""What a user types into a search field, as a query of the full-text index.

The index itself cuts the text into words (in a table in memory), so that a query's words are those of the texts in any script.
All words must occur, in any order and place; the last one may be unfinished.
"""

import threading
from collections.abc import Callable

from rlhf_desktop.store.driver import DRIVER

TOKENIZER = "unicode61 remove_diacritics 2"
MAX_CHARS, MAX_WORDS, MIN_PREFIX = 300, 12, 3


class Words:
    """Cuts texts into words as the index does. Usable from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._db = DRIVER.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._db.execute(f"CREATE VIRTUAL TABLE cut USING fts5(words, tokenize='{TOKENIZER}')")
        self._db.execute("CREATE VIRTUAL TABLE found USING fts5vocab(cut, instance)")

    def close(self) -> None:
        """Free the table."""
        with self._lock:
            self._db.close()

    def cut(self, text: str) -> list[str]:
        """The words in their order, each as often as it occurs."""
        with self._lock:
            self._db.execute("DELETE FROM cut")
            self._db.execute("INSERT INTO cut (rowid, words) VALUES (1, ?)", (text[:MAX_CHARS],))
            return [str(row[0]) for row in self._db.execute('SELECT term FROM found ORDER BY "offset"')]

    def match(self, text: str, begun: Callable[[str], str] = lambda word: f'"{word}"*') -> str:
        """The query for `MATCH`; "" when the text holds no word, which finds nothing in particular.

        Args:
            text: What was typed.
            begun: The query for all words that begin so.
        """
        text = text.encode("utf-8", "ignore").decode("utf-8").replace("\0", " ")
        words = self.cut(text)[:MAX_WORDS]
        quoted = [f'"{word}"' for word in words]
        if words and text[-1].isalnum() and (len(words[-1]) >= MIN_PREFIX or not words[-1].isascii()):
            quoted[-1] = begun(words[-1])  # short words of other scripts say more than ours
        return " AND ".join(quoted)
