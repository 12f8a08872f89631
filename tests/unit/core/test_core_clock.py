import ctypes
import sys
import time

import pytest

from rlhf_desktop.core import clock


def test_the_two_clocks_say_together_what_the_boot_clock_says() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    told = clock.awake_s() + clock.asleep_s()
    assert before <= told + 1e-3
    assert told - 1e-3 <= time.clock_gettime(time.CLOCK_BOOTTIME)


@pytest.mark.skipif(sys.platform != "linux", reason="the clocks of Linux are set here")
def test_sleep_counts_for_the_one_and_not_for_the_other(monkeypatch) -> None:
    told = {time.CLOCK_BOOTTIME: 1000.0, time.CLOCK_MONOTONIC: 1000.0}
    monkeypatch.setattr(time, "clock_gettime", told.__getitem__)
    before = clock.asleep_s()
    told[time.CLOCK_BOOTTIME] += 3610.0
    told[time.CLOCK_MONOTONIC] += 10.0
    assert clock.asleep_s() - before == 3600.0


def test_a_system_that_does_not_tell_has_never_slept(monkeypatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    assert clock.asleep_s() == 0.0


def test_windows_is_asked_for_its_clock_that_stands_still(monkeypatch) -> None:
    def ask(ticks) -> None:
        ticks._obj.value = 70_000_000

    kernel = type("Kernel", (), {"QueryUnbiasedInterruptTime": staticmethod(ask)})
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "windll", type("Windll", (), {"kernel32": kernel}), raising=False)
    monkeypatch.setattr(time, "monotonic", lambda: 10.0)
    assert (clock.awake_s(), clock.asleep_s()) == (7.0, 3.0)


def test_macos_is_asked_for_both(monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(time, "CLOCK_UPTIME_RAW", "raw", raising=False)
    monkeypatch.setattr(time, "clock_gettime", {time.CLOCK_MONOTONIC: 10.0, "raw": 7.0}.__getitem__)
    assert clock.asleep_s() == 3.0
