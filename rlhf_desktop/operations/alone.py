"""One act at a time over a whole workspace: erasing, restoring a backup, changing the encryption."""

from collections.abc import Iterator
from contextlib import contextmanager

from rlhf_desktop.core.errors import StoreTrouble
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import FileLock


@contextmanager
def alone(workspace: Workspace, name: str, doing: str) -> Iterator[None]:
    """Hold the workspace's lock of this kind of act; the system lifts it however the process ends.

    Args:
        workspace: The workspace; its folder is made if need be.
        name: The lock is the file `.NAME.lock` in it.
        doing: What another process that holds it does, for the sentence: "is restoring in".

    Raises:
        StoreTrouble: another process holds it.
    """
    workspace.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(workspace.root / f".{name}.lock")
    if not lock.acquire():
        raise StoreTrouble(f"Another window or command {doing} this workspace.", "Wait for it to finish, then try again.")
    try:
        yield
    finally:
        lock.release()
