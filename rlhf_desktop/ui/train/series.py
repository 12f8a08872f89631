"""A growing curve and its thinning for the screen. Qt-free."""

import itertools

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Series:
    """Points (step, value) in amortised O(1) arrays; a repeated step replaces its value, as a resumed run repeats steps."""

    def __init__(self) -> None:
        self._x: Floats = np.empty(64)
        self._y: Floats = np.empty(64)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def add(self, step: float, value: float) -> None:
        """Add a point. A step before the last one (a resumed run went back) drops the points it repeats."""
        if self._n and step <= self._x[self._n - 1]:
            self._n = int(np.searchsorted(self._x[: self._n], step))
        if self._n == len(self._x):
            self._x, self._y = np.resize(self._x, 2 * self._n), np.resize(self._y, 2 * self._n)
        self._x[self._n], self._y[self._n] = step, value
        self._n += 1

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


def thinned(x: Floats, y: Floats, limit: int = 600) -> tuple[Floats, Floats]:
    """At most about `limit` points that keep every bucket's lowest and highest: spikes stay visible, drawing stays cheap."""
    if len(x) <= limit:
        return x, y
    buckets = limit // 2
    edges = np.linspace(0, len(x), buckets + 1).astype(int)
    keep = {0, len(x) - 1}
    for low, high in itertools.pairwise(edges):
        keep.add(low + int(np.argmin(y[low:high])))
        keep.add(low + int(np.argmax(y[low:high])))
    chosen = np.array(sorted(keep))
    return x[chosen], y[chosen]


def smoothed(y: Floats, window: int) -> Floats:
    """A trailing mean over `window` points; the first points average what there is."""
    if window <= 1 or len(y) < 3:
        return y
    sums = np.cumsum(np.concatenate([[0.0], y]))
    ends = np.arange(1, len(y) + 1)
    starts = np.maximum(0, ends - window)
    result: Floats = (sums[ends] - sums[starts]) / (ends - starts)
    return result
