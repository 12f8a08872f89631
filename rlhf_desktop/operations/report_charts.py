"""Charts of a report as SVG text: no library or script, colours from the page's style, a sentence for who cannot see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from math import floor, isfinite, log10

WIDTH, HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 18, 36
_MOST_POINTS = 300
_ROW = 30  # height of a row of intervals
_LABELS = 220  # width kept for their names


@dataclass(frozen=True)
class Series:
    """One curve: points in ascending x."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class IntervalRow:
    """One row of an interval chart."""

    label: str
    value: float
    low: float
    high: float


def thinned(points: Sequence[tuple[float, float]], most: int = _MOST_POINTS) -> list[tuple[float, float]]:
    """At most `most` points: the mean of each stretch, the ends kept, so that no peak is invented and none hides the rest."""
    if len(points) <= most:
        return list(points)
    inner, size = points[1:-1], (len(points) - 2) / (most - 2)
    cuts = [round(i * size) for i in range(most - 1)]
    parts = [inner[a:b] for a, b in pairwise(cuts)]
    means = [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts if part]
    return [points[0], *means, points[-1]]


def line_chart(series: Sequence[Series], *, title: str, across: str = "updates") -> str:
    """Curves over a common axis. The first three differ by colour and by dashes."""
    drawn = [(s.name, thinned([p for p in s.points if isfinite(p[1])])) for s in series]
    drawn = [(name, points) for name, points in drawn if points]
    if not drawn:
        return ""
    xs = [x for _, points in drawn for x, _ in points]
    ys = [y for _, points in drawn for _, y in points]
    scale = _Scale(min(xs), max(xs), *_padded(min(ys), max(ys)))
    said = "; ".join(f"{name} from {points[0][1]:.3g} to {points[-1][1]:.3g}" for name, points in drawn)
    parts = [_frame(scale, across), *(_curve(scale, points, n) for n, (_, points) in enumerate(drawn))]
    if len(drawn) > 1:
        parts.append(_legend([name for name, _ in drawn]))
    return _svg(f"{title}: {said}", "".join(parts), HEIGHT)


def band_chart(middle: Series, low: Sequence[float], high: Sequence[float], *, title: str, across: str, mark: float) -> str:
    """A curve from 0 to 1 inside its interval, with a line that is to be left."""
    if not middle.points:
        return ""
    xs = [x for x, _ in middle.points]
    scale = _Scale(min(xs), max(xs), 0.0, 1.0)
    upper = [f"{scale.x(x):.1f},{scale.y(h):.1f}" for x, h in zip(xs, high, strict=True)]
    lower = [f"{scale.x(x):.1f},{scale.y(v):.1f}" for x, v in zip(xs, low, strict=True)]
    band = f'<polygon class="band" points="{" ".join([*upper, *reversed(lower)])}"/>'
    line = f'<line class="mark" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{scale.y(mark):.1f}" y2="{scale.y(mark):.1f}"/>'
    last = f"{middle.points[-1][1]:.0%}, interval {low[-1]:.0%} to {high[-1]:.0%}"
    body = _frame(scale, across, percent=True) + band + line + _curve(scale, middle.points, 0)
    return _svg(f"{title}: after {xs[-1]:.0f}, {last}", body, HEIGHT)


def interval_chart(rows: Sequence[IntervalRow], *, title: str) -> str:
    """Shares with their intervals on a line from 0 to 100%, one row each, the middle marked."""
    if not rows:
        return ""
    height = _ROW * len(rows) + _BOTTOM
    left, span = _LABELS, WIDTH - _LABELS - _RIGHT
    parts = [
        f'<line class="{"mark" if share == 0.5 else "grid"}" x1="{left + share * span:.1f}" x2="{left + share * span:.1f}" y1="4" '
        f'y2="{height - _BOTTOM + 4}"/><text x="{left + share * span:.1f}" y="{height - 8}" text-anchor="middle">{share:.0%}</text>'
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    for place, row in enumerate(rows):
        y = _ROW * place + _ROW / 2 + 4
        decided = " decided" if row.low > 0.5 or row.high < 0.5 else ""
        label = row.label if len(row.label) <= 30 else row.label[:29] + "…"
        start, end, middle = (f"{left + share * span:.1f}" for share in (row.low, row.high, row.value))
        parts.append(
            f'<text x="0" y="{y + 4:.1f}">{escape(label)}</text>'
            f'<line class="range{decided}" x1="{start}" x2="{end}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<circle class="dot{decided}" cx="{middle}" cy="{y:.1f}" r="5"/>'
        )
    said = "; ".join(f"{row.label} {row.value:.0%} ({row.low:.0%} to {row.high:.0%})" for row in rows)
    return _svg(f"{title}: {said}", "".join(parts), height)


# --- drawing ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Scale:
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        span = self.x_high - self.x_low
        return _LEFT + (value - self.x_low) / span * (WIDTH - _LEFT - _RIGHT) if span else _LEFT

    def y(self, value: float) -> float:
        return _TOP + (self.y_high - value) / (self.y_high - self.y_low) * (HEIGHT - _TOP - _BOTTOM)


def _svg(description: str, body: str, height: int) -> str:
    said = escape(description, quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{said}"><title>{said}</title>{body}</svg>'


def _padded(low: float, high: float) -> tuple[float, float]:
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return low - room, high + room


def _ticks(low: float, high: float, most: int = 5, whole: bool = False) -> list[float]:
    """Round numbers between two ends; `whole` numbers, where something is counted."""
    if high <= low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** floor(log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough)
    step = max(1.0, step) if whole else step
    first = -(-low // step) * step
    return [first + step * i for i in range(int((high - first) / step + 1e-9) + 1)]


def _frame(scale: _Scale, across: str, percent: bool = False) -> str:
    parts = []
    for value in _ticks(scale.y_low, scale.y_high):
        y, words = scale.y(value), f"{value:.0%}" if percent else f"{value:.4g}"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{words}</text>')
    for value in _ticks(scale.x_low, scale.x_high, 6, whole=True):
        parts.append(f'<text x="{scale.x(value):.1f}" y="{HEIGHT - 16}" text-anchor="middle">{value:.6g}</text>')
    parts.append(f'<text class="axis" x="{WIDTH - _RIGHT}" y="{HEIGHT - 3}" text-anchor="end">{escape(across)}</text>')
    return "".join(parts)


def _curve(scale: _Scale, points: Sequence[tuple[float, float]], number: int) -> str:
    if len(points) == 1:
        return f'<circle class="dot c{number % 3}" cx="{scale.x(points[0][0]):.1f}" cy="{scale.y(points[0][1]):.1f}" r="4"/>'
    path = " ".join(f"{scale.x(x):.1f},{scale.y(y):.1f}" for x, y in points)
    return f'<polyline class="curve c{number % 3}" points="{path}"/>'


def _legend(names: Sequence[str]) -> str:
    parts = []
    for n, name in enumerate(names):
        x = _LEFT + 8 + n * 190
        parts.append(f'<line class="curve c{n % 3}" x1="{x}" x2="{x + 22}" y1="8" y2="8"/>')
        parts.append(f'<text x="{x + 28}" y="12">{escape(name)}</text>')
    return "".join(parts)
