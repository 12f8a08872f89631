import pytest

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.numbers import with_point
from rlhf_desktop.core.recipes import make_settings


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("0,7", "0.7"), ("0,0002", "0.0002"), ("-1,5", "-1.5"), (",5", ".5"), ("2,5e-4", "2.5e-4"), (" 0,25 ", "0.25"),
        ("0.7", "0.7"), ("7", "7"), ("0,125", "0.125"), ("1,000", "1,000"), ("12,345", "12,345"),
        ("1,2,3", "1,2,3"), ("a,5", "a,5"), ("", ""),
    ],
)  # fmt: skip
def test_a_comma_before_decimals_is_a_point_and_thousands_stay(typed, meant):
    assert with_point(typed) == meant


def test_settings_take_a_decimal_comma_and_refuse_what_may_be_thousands():
    assert make_settings("sft", {"learning_rate": "0,0002"}).learning_rate == 0.0002
    assert make_settings("dpo", {"beta": "0,3", "max_length": "512"}).beta == 0.3
    with pytest.raises(BadInput):
        make_settings("sft", {"max_length": "1,024"})
