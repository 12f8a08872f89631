import os
import subprocess
import sys

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.jobs.commands import package_parent
from rlhf_desktop.jobs.window_lock import WindowLock

HOLD = """
import sys; from pathlib import Path
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.jobs.window_lock import WindowLock
lock = WindowLock(Workspace(Path(sys.argv[1])))
print(lock.acquire(), flush=True)
sys.stdin.read()
"""


def test_a_second_window_learns_who_has_the_first(workspace: Workspace) -> None:
    first, second = WindowLock(workspace), WindowLock(workspace)
    assert first.acquire() is None
    assert second.acquire().pid == os.getpid()
    first.release()
    assert second.acquire() is None
    second.release()


def test_a_killed_window_leaves_the_workspace_free(workspace: Workspace) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(workspace.root)], stdin=pipe, stdout=pipe, cwd=package_parent()
    ) as other:
        assert other.stdout.readline() == b"None\n"
        lock = WindowLock(workspace)
        assert lock.acquire().pid == other.pid
        other.kill()
        other.wait()
    assert lock.acquire() is None
    lock.release()
