"""Limits that a process sets itself before it looks at something nobody vouches for. The system enforces them."""

import signal
import sys


def limit_cpu(seconds: float) -> None:
    """Have the system end this process after so much more computing; 0: no limit."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)


def limit_memory(most_bytes: int) -> None:
    """Have the system refuse this process more memory; macOS and Windows know no such limit: whoever started it watches."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "darwin":
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))


def forbid_writing() -> None:
    """Have the system refuse this process every file it would write to."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
