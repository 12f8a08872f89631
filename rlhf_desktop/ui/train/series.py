"""A growing curve, thinned for the screen while it grows. Qt-free.

All points are kept (16 bytes each), but what is drawn is not found anew at each redraw: points fall into buckets of equal size,
and of each full bucket the places of its lowest and highest point and its mean are remembered. When there are too many buckets,
their size doubles. So a point costs O(1) whatever came before, 10⁵ points are drawn as fast as 10³, and spikes stay visible.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BUCKETS = 320  # drawn are at most twice as many points: about one for each pixel of a chart


class Series:
    """Points (step, value) in amortised O(1) arrays; a repeated step replaces its value, as a resumed run repeats steps."""

    def __init__(self) -> None:
        self._x: Floats = np.empty(64)
        self._y: Floats = np.empty(64)
        self._n = 0
        self._size = 1  # points a bucket
        self._extremes: npt.NDArray[np.int64] = np.empty(2 * BUCKETS, dtype=np.int64)  # two places for each full bucket
        self._means: Floats = np.empty(BUCKETS)

    def __len__(self) -> int:
        return self._n

    def add(self, step: float, value: float) -> None:
        """Add a point. A step before the last one (a resumed run went back) drops the points it repeats."""
        if self._n and step <= self._x[self._n - 1]:
            self._go_back(int(np.searchsorted(self._x[: self._n], step)))
        if self._n == len(self._x):
            self._x, self._y = np.resize(self._x, 2 * self._n), np.resize(self._y, 2 * self._n)
        self._x[self._n], self._y[self._n] = step, value
        self._n += 1
        if self._n > BUCKETS and self._n % self._size == 0:
            self._close_bucket()

    @property
    def x(self) -> Floats:
        """The steps, ascending."""
        return self._x[: self._n]

    @property
    def y(self) -> Floats:
        """The values."""
        return self._y[: self._n]

    def last(self) -> float | None:
        """The newest value."""
        return float(self._y[self._n - 1]) if self._n else None

    def drawn(self) -> tuple[Floats, Floats]:
        """At most about 2 · BUCKETS points that hold every bucket's lowest and highest, and the newest point."""
        if self._n <= BUCKETS:
            return self.x, self.y
        full = self._n // self._size
        rest = np.arange(full * self._size, self._n)
        tail = [] if not len(rest) else [rest[int(self._y[rest].argmin())], rest[int(self._y[rest].argmax())]]
        places = np.concatenate([[0], self._extremes[: 2 * full], np.sort(tail), [self._n - 1]]).astype(np.int64)
        return self._x[places], self._y[places]

    def trend(self) -> tuple[Floats, Floats]:
        """The curve with its noise taken out: a trailing mean over a twenty-fifth of it."""
        if self._n <= BUCKETS:
            return self.x, smoothed(self.y, max(5, self._n // 25))
        full = self._n // self._size
        ends = np.arange(1, full + 1) * self._size - 1
        return self._x[ends], smoothed(self._means[:full], max(5, full // 25))

    def _go_back(self, n: int) -> None:
        """Keep the first `n` points only."""
        self._n, self._size = n, 1
        while n > BUCKETS * self._size:
            self._size *= 2
        self._fill(0)

    def _close_bucket(self) -> None:
        """The newest bucket is full; when it is one too many, buckets become twice as large."""
        full = self._n // self._size
        if full > BUCKETS:
            self._size *= 2
            self._fill(0)
        else:
            self._fill(full - 1)

    def _fill(self, first: int) -> None:
        """Look at the full buckets from the one numbered `first`."""
        full = min(self._n // self._size, BUCKETS)
        rows = self._y[first * self._size : full * self._size].reshape(full - first, self._size)
        starts = np.arange(first, full) * self._size
        places = np.sort(np.stack([rows.argmin(1), rows.argmax(1)], axis=1), axis=1) + starts[:, None]
        self._extremes[2 * first : 2 * full] = places.reshape(-1)
        self._means[first:full] = rows.mean(1)


def smoothed(y: Floats, window: int) -> Floats:
    """A trailing mean over `window` points; the first points average what there is."""
    if window <= 1 or len(y) < 3:
        return y
    sums = np.cumsum(np.concatenate([[0.0], y]))
    ends = np.arange(1, len(y) + 1)
    starts = np.maximum(0, ends - window)
    result: Floats = (sums[ends] - sums[starts]) / (ends - starts)
    return result
