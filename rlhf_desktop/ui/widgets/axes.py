"""Axes of plots that count things: nobody has given half a judgement."""

import pyqtgraph as pg


class WholeAxis(pg.AxisItem):  # type: ignore[misc]  # pyqtgraph has no types
    """An axis with numbers at whole values only, while `whole` holds."""

    def __init__(self, side: str, whole: bool = True) -> None:
        super().__init__(side)
        self.whole = whole

    def tickSpacing(self, low: float, high: float, size: float) -> list[tuple[float, float]]:
        """As by itself, but never less than one."""
        levels = super().tickSpacing(low, high, size)
        return levels if not self.whole else list(dict.fromkeys((max(1.0, step), offset) for step, offset in levels))


def whole_axes(*sides: str) -> dict[str, WholeAxis]:
    """For a plot's `axisItems`."""
    return {side: WholeAxis(side) for side in sides}
