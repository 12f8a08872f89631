"""How far the model is that is being got ready: the starter prepared, or a model loaded. Every screen shows the same."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, QTimer

from rlhf_desktop.core.progress import Pace, Step
from rlhf_desktop.ui import words

_TICK_MS = 1000
_LONG_S = 1.5  # what is over sooner is not worth a bar


@dataclass(frozen=True)
class Loading:
    """What is being done for the model, and how far it is."""

    doing: str
    elapsed_s: float
    fraction: float | None = None  # None: there is no telling
    left_s: float | None = None

    @property
    def is_long(self) -> bool:
        """Whether it takes so long that it is shown."""
        return self.elapsed_s >= _LONG_S

    @property
    def words(self) -> str:
        """What is done, how far it is, and the time: left where that can be foretold, else gone."""
        parts = [self.doing]
        if self.fraction is not None:
            parts.append(f"{self.fraction:.0%}")
        if self.left_s is not None:
            parts.append(f"about {words.duration(max(1.0, self.left_s))} left")
        elif self.is_long:
            parts.append(f"{words.duration(self.elapsed_s)} so far")
        return " · ".join(parts)


class LoadingKeeper(QObject):
    """Follows one wait at a time and says how far it is, at each step and each second.

    Args:
        tell: Called with a `Loading`, or None when nothing is waited for.
        clock: Seconds.
    """

    def __init__(
        self, tell: Callable[[Loading | None], None], parent: QObject | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(parent)
        self._tell, self._clock_s = tell, clock
        self._pace: Pace | None = None
        self._doing = ""
        self._ticking = QTimer(self)
        self._ticking.setInterval(_TICK_MS)
        self._ticking.timeout.connect(self._say)

    @property
    def active(self) -> bool:
        """Whether something is waited for."""
        return self._pace is not None

    def begin(self, doing: str) -> None:
        """Something new is waited for."""
        self._begin(doing)

    def step(self, words: str) -> None:
        """Something else is done for it: a `Step` also says how far that is."""
        pace = self._pace or self._begin(str(words))
        self._doing = str(words)
        pace.step(words)
        self._say()

    def weights(self, doing: str, share: float) -> None:
        """So much of a model's weights is in memory."""
        self.step(Step(doing, share, share))

    def end(self) -> None:
        """Nothing is waited for any more."""
        if self._pace is not None:
            self._pace = None
            self._ticking.stop()
            self._tell(None)

    def _begin(self, doing: str) -> Pace:
        self._pace, self._doing = Pace(self._clock_s), doing
        self._ticking.start()
        self._say()
        return self._pace

    def _say(self) -> None:
        if self._pace is not None:
            self._tell(Loading(self._doing, self._pace.elapsed_s, self._pace.fraction, self._pace.left_s))
