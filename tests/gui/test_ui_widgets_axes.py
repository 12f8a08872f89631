"""What is counted stands at whole numbers, on every plot and in every report."""

import re

import pytest

from rlhf_desktop.operations.report_charts import Series, line_chart
from rlhf_desktop.ui.feedback.plots import BarCard
from rlhf_desktop.ui.train.charts import plot


def ticks(axis, low, high):
    """The numbers that are written at an axis."""
    return [value for value in axis.tickValues(low, high, 148)[0][1] if low <= value <= high]


@pytest.mark.parametrize("high", [0.4, 1.1, 2.2, 3.3, 7, 40, 12_345])
def test_bars_that_count_have_whole_numbers(qtbot, theme, high):
    card = BarCard("Judgements a day", "", theme)
    qtbot.addWidget(card)
    card.show_bars(["Mon", "Tue"], [1.0, float(round(high))], "")
    found = ticks(card._plot.getAxis("left"), 0, high)
    assert found
    assert all(value.is_integer() for value in found)
    card.release()


def test_bars_of_shares_keep_their_parts(qtbot, theme):
    card = BarCard("Share", "", theme)
    qtbot.addWidget(card)
    card.show_bars(["a"], [0.4], "")
    assert any(not value.is_integer() for value in ticks(card._plot.getAxis("left"), 0, 1))
    card.release()


@pytest.mark.parametrize("high", [1, 2, 4, 9, 500])
def test_steps_have_whole_numbers_and_measures_their_parts(qtbot, theme, high):
    made = plot("Loss", "bottom")
    qtbot.addWidget(made)
    assert all(value.is_integer() for value in ticks(made.getAxis("bottom"), 0, high))
    assert any(not value.is_integer() for value in ticks(made.getAxis("left"), 0, 1))
    made.close()


@pytest.mark.parametrize("last", [1, 2, 3, 7, 300])
def test_reports_count_updates_in_whole_numbers(last):
    drawn = line_chart([Series("loss", [(0, 0.2), (last, 0.1)])], title="Loss")
    across = re.findall(r'text-anchor="middle">([^<]*)<', drawn)
    assert across
    assert all(float(value).is_integer() for value in across)
