"""How long this computer has been awake: what is waited for must not count the hours in which a laptop slept."""

import sys
import time


def awake_s() -> float:
    """Seconds that only pass while the computer is awake; only differences mean anything."""
    return _unbiased_s() if sys.platform == "win32" else time.monotonic()  # which stands still in sleep on Linux and macOS


def asleep_s() -> float:
    """Seconds this computer has slept so far; only differences mean anything. 0.0 where the system does not say."""
    if sys.platform == "win32":
        return time.monotonic() - _unbiased_s()
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC) - time.clock_gettime(time.CLOCK_UPTIME_RAW)
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return 0.0 if boot is None else time.clock_gettime(boot) - time.clock_gettime(time.CLOCK_MONOTONIC)


def _unbiased_s() -> float:
    """Windows's clock that stands still in sleep, unlike all of Python's."""
    import ctypes

    ticks = ctypes.c_ulonglong()  # of 100 ns
    ctypes.windll.kernel32.QueryUnbiasedInterruptTime(ctypes.byref(ticks))  # type: ignore[attr-defined, unused-ignore]
    return ticks.value / 1e7
