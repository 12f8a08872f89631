"""Keeps the computer from falling asleep by itself while a run is under way. Closing a laptop's lid still does what it always does.

Linux has `systemd-inhibit`, macOS `caffeinate`, Windows a call. The two programs hold the computer awake for as long as a command
of ours runs, and that command waits for the end of its input: however this process ends, the system closes its end of the pipe,
and the computer may sleep again. Where there is no such program, or it is refused, runs go on as ever.
"""

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rlhf_desktop.core.commands import worker_environment
from rlhf_desktop.core.platform import kill_group, start_child

_END_S = 5.0
_UNTIL_INPUT_ENDS = "cat"
_CONTINUOUS, _SYSTEM_REQUIRED = 0x80000000, 0x00000001  # of SetThreadExecutionState


def holder_command() -> Sequence[str] | None:
    """The command that keeps this computer awake until its input ends; None where there is none."""
    if sys.platform == "darwin":
        command = ["caffeinate", "-i", _UNTIL_INPUT_ENDS]
    else:
        reason = ("--who=RLHF Desktop", "--why=A training run is under way")
        command = ["systemd-inhibit", "--what=sleep:idle", "--mode=block", *reason, _UNTIL_INPUT_ENDS]
    return command if shutil.which(command[0]) else None


@contextlib.contextmanager
def awake() -> Iterator[None]:
    """Hold the computer awake meanwhile, as far as that can be had."""
    if sys.platform == "win32":
        with _awake_thread():
            yield
        return
    holder = _start_holder()
    try:
        yield
    finally:
        if holder is not None:
            _end(holder)


@contextlib.contextmanager
def _awake_thread() -> Iterator[None]:
    """Windows lifts the wish by itself when the thread that had it ends."""
    import ctypes

    wish = ctypes.windll.kernel32.SetThreadExecutionState  # type: ignore[attr-defined, unused-ignore]
    wish(_CONTINUOUS | _SYSTEM_REQUIRED)
    try:
        yield
    finally:
        wish(_CONTINUOUS)


def _start_holder() -> subprocess.Popen[bytes] | None:
    command = holder_command()
    if command is None:
        return None
    try:
        return start_child(
            command, cwd=Path(tempfile.gettempdir()), env=worker_environment(), stdin=subprocess.PIPE, output=subprocess.DEVNULL
        )
    except OSError:
        return None


def _end(holder: subprocess.Popen[bytes]) -> None:
    """Its input ends, and so does it; one that does not is killed."""
    assert holder.stdin is not None
    with contextlib.suppress(OSError):
        holder.stdin.close()
    try:
        holder.wait(_END_S)
    except subprocess.TimeoutExpired:
        kill_group(holder.pid)
        holder.wait()
