"""What keeps a database sound: its check, and the day's backup. Both read the whole file: a large one gets them beside the work."""

import threading
from collections.abc import Callable
from pathlib import Path

from rlhf_desktop.core.errors import AppError, NoSpace, StoreTrouble
from rlhf_desktop.store.backups import back_up_daily, check_health, daily_path
from rlhf_desktop.store.driver import Connection

LARGE_BYTES = 128 * 2**20  # from here on a check would keep the window waiting


def back_up_if_possible(connection: Connection, folder: Path, go_on: Callable[[], None] = lambda: None) -> str:
    """The day's backup. Where it cannot be made the work still goes on: returns what to say then."""
    try:
        back_up_daily(connection, folder, go_on=go_on)
    except (NoSpace, StoreTrouble) as problem:
        return f"Today's backup was not made. {problem}"
    return ""


class BrokenOff(Exception):  # noqa: N818: nothing is wrong
    """The store is being closed."""


class Upkeep:
    """The check and the backup of a large database, once a day, on a thread and a connection of its own.

    Args:
        path: The database.
        backups: Where backups go.
        on_notice: Told what the user should know, from that thread.
    """

    def __init__(self, path: Path, backups: Path, on_notice: Callable[[str], None]) -> None:
        self._path, self._backups, self._on_notice = path, backups, on_notice
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store upkeep", daemon=True)
        if not daily_path(backups).exists():
            self._thread.start()

    def wait(self) -> None:
        """Until it has been done."""
        if self._thread.ident is not None:
            self._thread.join()

    def stop(self) -> None:
        """Break off; tomorrow, or at the next start, it begins anew."""
        self._ending.set()
        self.wait()

    def _run(self) -> None:
        try:
            connection = Connection(self._path)
            try:
                check_health(connection, self._go_on)
                self._on_notice(back_up_if_possible(connection, self._backups, self._go_on))
            finally:
                connection.close()
        except BrokenOff:
            pass
        except AppError as problem:
            if not self._ending.is_set():
                self._on_notice(str(problem))

    def _go_on(self) -> None:
        if self._ending.is_set():
            raise BrokenOff
