"""A long table kept a page at a time: what is on screen is in memory, the rest stays in the database. Qt-free."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Row = TypeVar("Row")


class Pages(Generic[Row]):
    """The rows of a query by number, fetched page by page; the least recently shown pages are dropped.

    Args:
        fetch: Given an offset and a limit, the rows in order.
        total: How many rows there are.
    """

    def __init__(self, fetch: Callable[[int, int], Sequence[Row]], total: int, page_size: int = 100, keep: int = 12) -> None:
        self._fetch = fetch
        self.total = total
        self._page_size = page_size
        self._keep = keep
        self._pages: OrderedDict[int, Sequence[Row]] = OrderedDict()

    def row(self, index: int) -> Row | None:
        """Row number `index`; None past the end, or when it has gone since the total was counted."""
        if not 0 <= index < self.total:
            return None
        number, place = divmod(index, self._page_size)
        page = self._page(number)
        return page[place] if place < len(page) else None

    def _page(self, number: int) -> Sequence[Row]:
        if number in self._pages:
            self._pages.move_to_end(number)
            return self._pages[number]
        page = self._pages[number] = self._fetch(number * self._page_size, self._page_size)
        if len(self._pages) > self._keep:
            self._pages.popitem(last=False)
        return page
