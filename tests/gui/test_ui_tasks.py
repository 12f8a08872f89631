import pytest

from rlhf_desktop.ui.tasks import _tell


def gone(name, value):
    raise RuntimeError("Signal source has been deleted")


def broken(name, value):
    raise RuntimeError("a bug")


def test_what_ends_after_the_window_has_closed_is_told_to_nobody():
    _tell(gone, "ended", None)
    with pytest.raises(RuntimeError, match="a bug"):
        _tell(broken, "ended", None)
    said = []
    _tell(lambda name, value: said.append((name, value)), "succeeded", 3)
    assert said == [("succeeded", 3)]
