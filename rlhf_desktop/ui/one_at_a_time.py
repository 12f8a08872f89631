"""Work of which one piece is under way at a time; of what is asked for meanwhile, the newest follows. Knows no Qt."""

from collections.abc import Callable
from functools import partial
from typing import Generic, ParamSpec

P = ParamSpec("P")


class OneAtATime(Generic[P]):
    """Begins what is asked for, one after the other: a slow look at what changes often never piles up, and the last one is of now.

    Whoever begins the work says `done` when it has ended, well or not, perhaps at once.

    Args:
        begin: Begins a piece of work with what was asked.
    """

    def __init__(self, begin: Callable[P, object]) -> None:
        self._begin = begin
        self._busy = False
        self._next: Callable[[], object] | None = None

    @property
    def busy(self) -> bool:
        """Whether a piece of work is under way."""
        return self._busy

    @property
    def overtaken(self) -> bool:
        """Whether something was asked for since the work under way began: what it finds is of before."""
        return self._next is not None

    def ask(self, *asked: P.args, **more: P.kwargs) -> None:
        """Begin now, or when what is under way has ended, unless something newer is asked for until then."""
        self._next = partial(self._begin, *asked, **more)
        if not self._busy:
            self._begin_next()

    def done(self) -> None:
        """What was under way has ended."""
        self._busy = False
        self._begin_next()

    def forget(self) -> None:
        """What waits is wanted no more; what is under way goes on."""
        self._next = None

    def _begin_next(self) -> None:
        wanted, self._next = self._next, None
        if wanted is not None:
            self._busy = True
            try:
                wanted()
            except BaseException:  # it has not begun, so nobody will say that it is done
                self._busy = False
                raise
