"""Reports of measures: their numbers, their caveats, and their names."""

import pytest
from operations_helpers import user

from rlhf_desktop.evaluation.winrate import win_rate
from rlhf_desktop.operations.evaluation import PolicyReport, RewardReport
from rlhf_desktop.operations.report_measures import policy_report, reward_report
from rlhf_desktop.operations.report_pages import as_html, as_markdown
from rlhf_desktop.operations.rows import Answer, AnswerRow

RATE = win_rate([[1], [1], [0], [0.5], [1], [1], [0], [1]])


def test_a_reward_models_report_has_its_numbers_and_its_caveat():
    html = as_html(reward_report("Judge", RewardReport(RATE, None, "Not evidence: something.")))
    assert f"unseen prompts: {RATE.rate:.1%} ({RATE.low:.1%} to {RATE.high:.1%}), 8 prompts, 8 comparisons" in html
    assert "Not evidence: something." in html
    assert "Wilson" in html


@pytest.mark.parametrize("rate", [RATE, None])
def test_two_models_are_shown_side_by_side(rate):
    rows = [[AnswerRow(user(f"Q{n}"), (Answer(f"{side} answer {n}"),)) for n in range(20)] for side in ("old", "new")]
    report = policy_report("base", "Kinder", PolicyReport(rows[0], rows[1], rate, ""))
    text = as_markdown(report)
    assert ("Kinder over base" in text) == (rate is not None)
    assert text.count("> **Q") == 8
    assert "| Kinder | 3.0 |" in text
    assert report.name == policy_report("base", "Kinder", PolicyReport(rows[0], rows[1], rate, "")).name
