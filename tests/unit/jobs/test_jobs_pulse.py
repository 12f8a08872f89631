import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from jobs_helpers import wait_until

from rlhf_desktop.core.platform import process_ref
from rlhf_desktop.core.runs import ProcessRef
from rlhf_desktop.jobs.pulse import Pulse, processor_s

ME = ProcessRef(pid=1, start_time=1.0)


class World:
    """A computer and a training process whose clocks and work are told."""

    def __init__(self, folder: Path) -> None:
        self.awake_s, self.asleep_s, self.used_s = 50.0, 7.0, 3.0
        self.file = folder / "heartbeat"
        self.pulse = Pulse(ME, (self.file,), lambda: self.awake_s, lambda: self.asleep_s, lambda _worker: self.used_s)

    def passes(self, seconds: float, used_s: float | None = 0.0, wrote: bool = False) -> None:
        self.awake_s += seconds
        self.used_s = None if used_s is None else (self.used_s or 0.0) + used_s
        if wrote:
            self.file.write_text(str(self.awake_s))
        self.pulse.feel()

    @property
    def signs(self) -> tuple[float, float, float]:
        return self.pulse.signs.silent_s, self.pulse.signs.idle_s, self.pulse.signs.asleep_s


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_long_step_is_silence_but_not_idleness(world: World) -> None:
    for _ in range(5):
        world.passes(2.0, used_s=0.5)
    assert world.signs == (10.0, 0.0, 0.0)


def test_a_process_that_stands_still_is_idle_and_a_step_ends_the_silence(world: World) -> None:
    for _ in range(5):
        world.passes(2.0, used_s=0.001)  # it wakes up now and then
    assert world.signs == (10.0, 10.0, 0.0)
    world.passes(2.0, used_s=0.5, wrote=True)
    assert world.signs == (0.0, 0.0, 0.0)
    world.passes(2.0)
    assert world.signs == (2.0, 2.0, 0.0)


def test_what_the_computer_slept_through_is_noted_and_is_no_silence(world: World) -> None:
    world.asleep_s += 8 * 3600.0
    world.passes(2.0, used_s=0.5)
    assert world.signs == (2.0, 0.0, 8 * 3600.0)


def test_what_the_supervisor_itself_slept_through_is_hardly_counted(world: World) -> None:
    """It was stopped, or the computer too busy to let it look: so was the training process, most likely."""
    world.passes(3600.0)
    assert world.signs == (10.0, 10.0, 0.0)


def test_a_process_whose_use_cannot_be_known_is_never_idle(world: World) -> None:
    world.passes(5.0, used_s=None)
    world.passes(5.0, used_s=None)
    assert world.signs == (10.0, 0.0, 0.0)


def test_the_children_of_a_process_count_too() -> None:
    work = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    process = subprocess.Popen([sys.executable, "-c", work], process_group=0)
    try:
        worker = process_ref(process.pid)
        wait_until(lambda: (processor_s(worker) or 0.0) > 1.0)  # the parent alone waits
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert processor_s(worker) is None
