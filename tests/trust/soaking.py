"""What a process holds: memory, threads, descriptors, processes, widgets. Taken again and again while it works."""

import gc
import json
import os
import sys
from collections import Counter
from dataclasses import asdict, dataclass

import psutil
from PySide6.QtCore import QCoreApplication, QEvent, QObject
from PySide6.QtWidgets import QApplication

COUNTED = ("threads", "descriptors", "processes", "widgets", "objects")
_EACH = 3  # looks at the beginning and at the end that are compared


@dataclass(frozen=True)
class Look:
    """What there is at a moment."""

    done: int
    memory_mib: float
    threads: int
    descriptors: int
    processes: int
    widgets: int
    objects: int  # of Qt, that Python knows


def look(done: int) -> Look:
    """Count, after whatever can go has gone."""
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    me, widgets = psutil.Process(), len(QApplication.allWidgets())
    descriptors = me.num_fds() if os.name != "nt" else me.num_handles()
    objects = sum(isinstance(each, QObject) for each in gc.get_objects())
    widgets = len(QApplication.allWidgets())
    return Look(
        done, me.memory_info().rss / 2**20, me.num_threads(), descriptors, len(me.children(recursive=True)), widgets, objects
    )


class Soak:
    """Looks at times, and says in the end how much more there is than at the beginning."""

    def __init__(self, warm_up: int, every: int) -> None:
        self._warm_up, self._every = warm_up, every
        self.looks: list[Look] = []

    def at(self, done: int) -> None:
        """So much is done; looks if it is time."""
        if done >= self._warm_up and (done - self._warm_up) % self._every == 0 and (not self.looks or self.looks[-1].done != done):
            self.looks.append(look(done))
            print(json.dumps(asdict(self.looks[-1])), file=sys.stderr, flush=True)

    def growth(self) -> dict[str, float]:
        """Memory in percent; of all else how many at least there were in the end more than at most in the beginning."""
        first, last = self.looks[:_EACH], self.looks[-_EACH:]
        before, after = (sorted(look.memory_mib for look in looks)[len(looks) // 2] for looks in (first, last))
        grown = {name: min(getattr(each, name) for each in last) - max(getattr(each, name) for each in first) for name in COUNTED}
        return {"memory": max(0.0, 100 * (after - before) / before), **{name: max(0, more) for name, more in grown.items()}}


def kinds() -> Counter[str]:
    """Qt's objects by class, and slots kept alive: for who looks for a leak."""
    return Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, QObject))
