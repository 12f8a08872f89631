import pytest

from rlhf_desktop.ui.tasks import TaskRunner, _tell


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


def test_after_closing_no_answer_arrives(qtbot):
    runner, said = TaskRunner(), []
    runner.run(lambda: 1, on_success=said.append)
    runner.close()
    other = TaskRunner()
    with qtbot.waitSignal(other._told):
        other.run(lambda: 2, on_success=said.append)
    qtbot.waitUntil(lambda: said == [2])
