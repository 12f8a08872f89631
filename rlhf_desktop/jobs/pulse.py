"""Whether a training process still moves: how long it has made no step, and for how long it has used no processor time.

A step can take long, on a busy computer very long. Only a process that stands still, and its children with it, may be taken for
hung. What the computer slept through, and what this process itself slept through, counts for neither.
"""

from collections.abc import Callable
from pathlib import Path

import psutil

from rlhf_desktop.core.clock import asleep_s, awake_s
from rlhf_desktop.core.runs import ProcessRef, Signs

SLOW_S = 120.0  # without a step
_MOST_S = 10.0  # that may pass between two looks; what is more was nobody's to see, and is not counted
_MOVES = 0.01  # of one core; a process that only waits still wakes up now and then

ProcessorTime = Callable[[ProcessRef], float | None]


class Pulse:
    """Felt at each beat of the supervisor; it keeps what it felt.

    Args:
        worker: The training process.
        files: What the process writes to when it has done something.
        clock, asleep: Seconds awake and asleep, as in `core.clock`.
        used: Processor seconds of a process and its children; None where that cannot be known.
    """

    def __init__(
        self,
        worker: ProcessRef,
        files: tuple[Path, ...],
        clock: Callable[[], float] = awake_s,
        asleep: Callable[[], float] = asleep_s,
        used: ProcessorTime | None = None,
    ) -> None:
        self._worker, self._files, self._clock, self._asleep = worker, files, clock, asleep
        self._processor = used or processor_s
        self._now, self._slept = clock(), asleep()
        self._seen, self._used = self._written(), self._processor(worker)
        self.signs = Signs()

    def feel(self) -> Signs:
        """Look again."""
        now, written, used = self._clock(), self._written(), self._processor(self._worker)
        passed = min(now - self._now, _MOST_S)
        moved = used is None or self._used is None or abs(used - self._used) > _MOVES * passed
        self.signs = Signs(
            silent_s=0.0 if written != self._seen else self.signs.silent_s + passed,
            idle_s=0.0 if moved else self.signs.idle_s + passed,
            asleep_s=max(0.0, self._asleep() - self._slept),
        )
        self._now, self._seen, self._used = now, written, used
        return self.signs

    def _written(self) -> tuple[int, ...]:
        return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in self._files)


def processor_s(worker: ProcessRef) -> float | None:
    """Processor seconds that a process and its living children have used; None where the system does not say."""
    try:
        process = psutil.Process(worker.pid)
        times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    except psutil.Error:
        return None
    return sum(time.user + time.system for time in times)
