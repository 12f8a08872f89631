"""One window a workspace: the second one learns who has it open, so that it can say so and raise the first."""

import time
from dataclasses import dataclass

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import FileLock


@dataclass(frozen=True)
class Holder:
    """The process that has the workspace open. `pid` is 0 in the moment before it has said who it is."""

    pid: int
    since: float  # seconds since the epoch


class WindowLock:
    """Held by the window of a workspace for as long as its process lives."""

    def __init__(self, workspace: Workspace) -> None:
        self._lock = FileLock(workspace.root / "window.lock")

    def acquire(self) -> Holder | None:
        """Take the workspace. Returns None when it is ours, else who has it."""
        if self._lock.acquire():
            self._lock.say(since=time.time())
            return None
        info = self._lock.holder() or {}
        return Holder(pid=int(info.get("pid", 0)), since=float(info.get("since", time.time())))

    def release(self) -> None:
        """Give it back; also happens by itself when the process ends."""
        self._lock.release()
