"""What a command needs the window closed for."""

from collections.abc import Iterator
from contextlib import contextmanager

from rlhf_desktop.core.errors import StoreTrouble
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.jobs.window_lock import WindowLock


@contextmanager
def window_closed(workspace: Workspace, what: str) -> Iterator[None]:
    """Hold the window's lock, so that none is open meanwhile.

    Args:
        workspace: Whose.
        what: What the window could do too: "restore".

    Raises:
        StoreTrouble: a window is open.
    """
    lock = WindowLock(workspace)
    if (holder := lock.acquire()) is not None:
        raise StoreTrouble(
            f"This workspace is open in a window (process {holder.pid}).", f"Close it, or {what} there, in Settings."
        )
    try:
        yield
    finally:
        lock.release()
