"""A disk of its own that is really full: the system itself says that there is no room, to Python, SQLite and every library."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

WHY_NOT = "needs a small disk of its own, which only root may mount (on Linux)"
_SIZE = 256 * 2**20
_FILLER = ".filler"
_LOOK_S = 0.0005


class SmallDisk:
    """A file system in memory, of which as much is taken as is wanted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def used(self) -> int:
        """Bytes taken, in whole pages."""
        seen = os.statvfs(self.folder)
        return (seen.f_blocks - seen.f_bfree) * seen.f_frsize

    def leave(self, free_bytes: int) -> None:
        """Take all but this."""
        seen = os.statvfs(self.folder)
        with (self.folder / _FILLER).open("wb") as filler:
            if (taken := seen.f_bfree * seen.f_frsize - free_bytes) > 0:
                os.posix_fallocate(filler.fileno(), 0, taken)

    def make_room(self) -> None:
        """Give all of it back."""
        (self.folder / _FILLER).unlink(missing_ok=True)

    def needs(self, do: Callable[[], None]) -> int:
        """How much more was taken while something was done than before it, at most."""
        before, most, over = self.used, 0, threading.Event()

        def look() -> None:
            nonlocal most
            while not over.wait(_LOOK_S):
                most = max(most, self.used)

        looking = threading.Thread(target=look)
        looking.start()
        try:
            do()
        finally:
            over.set()
            looking.join()
        return max(most, self.used) - before


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk | None]:
    """Mount one on a folder; None where that is not allowed."""
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        yield None
        return
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        yield None
        return
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
