"""Charts as SVG: well-formed, true to their numbers, and small whatever they are given."""

import math
from xml.etree import ElementTree

import pytest

from rlhf_desktop.operations.report_charts import IntervalRow, Series, _ticks, band_chart, interval_chart, line_chart, thinned


def parsed(svg):
    return ElementTree.fromstring(svg)


def test_a_curve_goes_through_its_points():
    root = parsed(line_chart([Series("loss", [(0, 1.0), (10, 3.0), (20, 2.0)])], title="Loss"))
    (line,) = root.findall("polyline")
    points = [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]
    assert [x for x, _ in points] == [56, 340, 624]
    assert points[1][1] < points[2][1] < points[0][1]  # up is less in SVG
    assert root.get("aria-label") == "Loss: loss from 1 to 2"


def test_numbers_that_are_none_are_left_out_and_nothing_draws_nothing():
    assert line_chart([Series("loss", [(0, math.nan)])], title="Loss") == ""
    assert line_chart([], title="Loss") == ""
    assert parsed(line_chart([Series("a", [(0, 1.0), (1, math.inf)])], title="A")).findall("circle")


def test_a_hundred_thousand_points_stay_small_and_keep_their_ends():
    points = [(float(n), math.sin(n / 1e4)) for n in range(100_000)]
    few = thinned(points)
    assert len(few) <= 300
    assert (few[0], few[-1]) == (points[0], points[-1])
    assert max(abs(y - math.sin(x / 1e4)) for x, y in few) < 0.01
    assert len(line_chart([Series("s", points)], title="S")) < 20_000


def test_rows_of_intervals_stand_where_their_numbers_are():
    rows = [IntervalRow("all <of> it", 0.75, 0.6, 0.9), IntervalRow("half", 0.5, 0.25, 0.75)]
    root = parsed(interval_chart(rows, title="Wins"))
    first, second = (c for c in root.findall("circle"))
    assert float(second.get("cx")) == pytest.approx(220 + 0.5 * (640 - 220 - 16), abs=0.1)
    assert "decided" in first.get("class")
    assert "decided" not in second.get("class")
    assert "all <of> it 75% (60% to 90%)" in root.get("aria-label")


def test_a_band_holds_its_curve():
    root = parsed(band_chart(Series("r", [(1, 0.5), (2, 0.8)]), [0.1, 0.4], [0.9, 0.95], title="V", across="n", mark=0.5))
    corners = [tuple(map(float, pair.split(","))) for pair in root.find("polygon").get("points").split()]
    assert len(corners) == 4
    assert root.get("aria-label") == "V: after 2, 80%, interval 40% to 95%"


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 8), (1e-6, 3e-6), (5, 5), (0, 123456)])
def test_ticks_are_few_round_and_inside(low, high):
    ticks = _ticks(low, high)
    assert 1 <= len(ticks) <= 7
    assert all(low - 1e-12 <= tick <= high * (1 + 1e-9) + 1e-12 for tick in ticks)
