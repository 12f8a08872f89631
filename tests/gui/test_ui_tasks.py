import threading

import pytest
import shiboken6
from PySide6.QtWidgets import QLabel

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
    other.run(lambda: 2, on_success=said.append)
    qtbot.waitUntil(lambda: said == [2])


def test_an_answer_for_a_widget_that_is_gone_is_dropped(qtbot):
    runner, label, said = TaskRunner(), QLabel(), []
    runner.run(lambda: "late", on_success=lambda text: label.setText(text))
    shiboken6.delete(label)
    qtbot.waitUntil(lambda: not runner.busy)
    runner.run(lambda: 1, on_success=said.append)
    qtbot.waitUntil(lambda: said == [1] and not runner.busy)


def test_what_a_task_was_given_does_not_end_its_life_on_its_thread(qtbot):
    ended_on = []

    class Given:
        def __del__(self):
            ended_on.append(threading.current_thread())

        def work(self):
            return 1

    runner = TaskRunner()
    runner.run(Given().work)
    qtbot.waitUntil(lambda: bool(ended_on))
    assert ended_on == [threading.main_thread()]
