"""A long table kept a page at a time: what is on screen is in memory, the rest stays in the database. Qt-free.

Pages are found by where the one before ended (keyset), so the last page costs what the first does.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

Row = TypeVar("Row")
Mark = TypeVar("Mark")


class Pages(Generic[Row, Mark]):
    """Rows by number. A page that was dropped is asked for again, from where it began.

    Args:
        ask: Given a page's number and where the page before ended (None for the first); answers with `deliver`.
        keep: How many pages stay in memory.
    """

    def __init__(self, ask: Callable[[int, Mark | None], None], keep: int = 12) -> None:
        self._ask, self._keep = ask, keep
        self._starts: list[int] = []  # the number of each known page's first row
        self._marks: list[Mark | None] = [None]  # where each page begins; one more than there are pages while there is more
        self._pages: OrderedDict[int, Sequence[Row]] = OrderedDict()
        self._asked: set[int] = set()
        self.total = 0

    @property
    def more(self) -> bool:
        """Whether rows follow those that are known, and have not been asked for."""
        return len(self._marks) > len(self._starts) and len(self._starts) not in self._asked

    def knows(self, number: int) -> bool:
        """Whether this page has been here before."""
        return number < len(self._starts)

    def ask_next(self) -> None:
        """Ask for the page after the last known one."""
        if self.more:
            self._want(len(self._starts))

    def row(self, index: int) -> Row | None:
        """Row number `index`; None when there is none, or when it is on its way."""
        if not 0 <= index < self.total:
            return None
        number = bisect_right(self._starts, index) - 1
        page = self._pages.get(number)
        if page is None:
            self._want(number)
            return None
        self._pages.move_to_end(number)
        place = index - self._starts[number]
        return page[place] if place < len(page) else None

    def loaded(self) -> Iterator[tuple[int, Row]]:
        """The rows in memory, with their numbers."""
        for number, page in self._pages.items():
            yield from enumerate(page, self._starts[number])

    def _want(self, number: int) -> None:
        if number not in self._asked:
            self._asked.add(number)
            self._ask(number, self._marks[number])

    def deliver(self, number: int, rows: Sequence[Row], end: Mark | None) -> range:
        """A page has arrived, and where it ended (None: there is no more). Returns the numbers of its rows."""
        self._asked.discard(number)
        if number == len(self._starts):
            self._starts.append(self.total)
            self.total += len(rows)
            if end is not None:
                self._marks.append(end)
        self._pages[number] = rows
        self._pages.move_to_end(number)
        if len(self._pages) > self._keep:
            self._pages.popitem(last=False)
        start = self._starts[number]
        return range(start, min(self.total, start + len(rows)))
