"""An estimate says what a run takes and whether it fits, as far as that is known."""

from estimates_helpers import made


def test_without_rates_there_is_memory_but_no_time(smol):
    found = made(smol, rates=None)
    assert found.wall_s is None
    assert found.peak_bytes > 10**9
    assert found.sentence == f"About {found.peak_bytes / 1e9:.1f} GB; 30 GB are free."


def test_it_says_whether_it_fits(smol):
    assert made(smol).fits is True
    assert made(smol, free_bytes=9 * 10**8).fits is False
    assert made(smol, free_bytes=None).fits is None
    assert "and " in made(smol).sentence
