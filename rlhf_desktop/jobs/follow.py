"""Reading a run's events while they are written, and again from the start when a window is reopened."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from rlhf_desktop.core.runs import RunEvent, parse_event
from rlhf_desktop.core.sealing import open_to_read

if TYPE_CHECKING:
    from rlhf_desktop.jobs.runfolder import RunFolder

_TAIL_BYTES = 64 * 1024


class EventReader:
    """Reads `events.jsonl` a piece at a time, from its beginning. A torn last line waits for its rest.

    Attributes:
        offset: Bytes of the whole lines read so far.
        behind: Whether the last call left whole lines unread.
        notes: What could not be understood (torn or unknown lines), in plain words.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self.behind = False
        self.notes: list[str] = []

    def read_new(self, most_bytes: int = -1) -> list[RunEvent]:
        """The events that have become complete since the last call; none when the file is not there yet.

        Args:
            most_bytes: Stop after about so many, at the end of a line; `behind` then says that there is more. -1: read all.
        """
        try:
            with open_to_read(self.path) as f:
                size = f.seek(0, os.SEEK_END)
                if size < self.offset:
                    self._start_over()
                f.seek(self.offset)
                chunk = f.read(most_bytes)
                if most_bytes >= 0:
                    chunk += f.readline()
        except FileNotFoundError:
            return []
        whole = chunk.rfind(b"\n") + 1  # the rest is read again: a resuming trainer may cut off what was torn
        self.behind = whole > 0 and self.offset + whole < size
        self.offset += whole
        return list(self._parse(chunk[:whole].splitlines()))

    def begin_near_end(self, most_bytes: int) -> None:
        """Leave out all but the last of what is there."""
        try:
            with open_to_read(self.path) as f:
                self.offset = max(0, f.seek(0, os.SEEK_END) - most_bytes)
        except FileNotFoundError:
            self.offset = 0

    def _start_over(self) -> None:
        self.notes.append("The file has become shorter, so it is read again from its start.")
        self.offset = 0

    def _parse(self, lines: list[bytes]) -> Iterator[RunEvent]:
        for line in filter(None, lines):
            try:
                yield parse_event.validate_json(line)
            except ValidationError as problem:
                first = problem.errors()[0]["msg"]
                self.notes.append(f"Skipped a line that is not a known event ({first}): {line[:80].decode('utf-8', 'replace')}")


def tail_events(path: Path) -> list[RunEvent]:
    """The events in the last 64 KiB: what a list of runs needs to show, at the same price for a long run as for a short one."""
    reader = EventReader(path)
    reader.begin_near_end(_TAIL_BYTES)  # the first line may be cut: it is skipped like any torn line
    return reader.read_new()


def follow(run: "RunFolder", poll_s: float = 0.3, on_idle: Callable[[], None] | None = None) -> Iterator[RunEvent]:
    """Every event of a run from the beginning, as it comes, until the run has ended (paused and interrupted count).

    Args:
        run: The run.
        poll_s: Seconds between looks.
        on_idle: Called at each look that found nothing, for a spinner, or to see to it that somebody works the queue.
    """
    reader = EventReader(run.events)
    while True:
        ended = run.state().ended  # before the read, so that what was written before the end is not missed
        events = reader.read_new()
        yield from events
        if ended:
            return
        if not events:
            if on_idle:
                on_idle()
            time.sleep(poll_s)
