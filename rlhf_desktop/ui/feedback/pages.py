"""A long table kept a page at a time: what is on screen is in memory, the rest stays in the database. Qt-free."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Row = TypeVar("Row")


class Pages(Generic[Row]):
    """The rows of a query by number. A page that is not here is asked for once and delivered later; old pages are dropped.

    Args:
        ask: Given a page's number, its offset and its size; answers with `deliver`.
        total: How many rows there are.
    """

    def __init__(self, ask: Callable[[int, int, int], None], total: int, page_size: int = 100, keep: int = 12) -> None:
        self._ask = ask
        self.total = total
        self.page_size = page_size
        self._keep = keep
        self._pages: OrderedDict[int, Sequence[Row]] = OrderedDict()
        self._asked: set[int] = set()

    def row(self, index: int) -> Row | None:
        """Row number `index`; None past the end, when it has gone since the total was counted, or when it is on its way."""
        if not 0 <= index < self.total:
            return None
        number, place = divmod(index, self.page_size)
        page = self._pages.get(number)
        if page is None:
            self._want(number)
            return None
        self._pages.move_to_end(number)
        return page[place] if place < len(page) else None

    def _want(self, number: int) -> None:
        if number not in self._asked:
            self._asked.add(number)
            self._ask(number, number * self.page_size, self.page_size)

    def deliver(self, number: int, rows: Sequence[Row]) -> range:
        """A page has arrived. Returns the numbers of its rows."""
        self._asked.discard(number)
        self._pages[number] = rows
        self._pages.move_to_end(number)
        if len(self._pages) > self._keep:
            self._pages.popitem(last=False)
        return range(number * self.page_size, number * self.page_size + len(rows))
