"""`python -m rlhf_desktop.worker chat|train|probe|convert|export|check|calibrate|trial …`: the processes that import torch."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import BinaryIO

from rlhf_desktop.core import crash, kernel_guard, offline
from rlhf_desktop.core.platform import be_kind, be_private

JOBS = ("chat", "train", "probe", "convert", "export", "check", "calibrate", "trial")
SHORT_WAITS = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "1"}
"""How long a thread that has nothing to do holds on to its core, for two kinds of OpenMP: turns of a loop, about 0.1 ms (GCC's, on
Linux), and milliseconds (LLVM's and Intel's, on macOS and Windows). By themselves they take 20 ms and 200 ms. That is fine for a
process that is alone; of a chat beside a run each spins while the other has work, and both crawl. Results do not change: as many
threads compute the same parts."""
FILE_JOBS = ("convert", "export")  # nobody looks on, so the window comes first


def private_stdout() -> BinaryIO:
    """Take the real standard output for the protocol and point descriptor 1 at standard error.

    Done before torch is imported: whatever a library, in Python or C++, prints cannot get between two lines of the protocol.
    """
    sys.stdout.flush()
    protocol = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return protocol


def share_cores() -> None:
    """Let waiting threads give way soon, unless the user has said how they shall wait."""
    if "OMP_WAIT_POLICY" not in os.environ:
        for name, value in SHORT_WAITS.items():
            os.environ.setdefault(name, value)


def main(argv: Sequence[str]) -> int:
    """Run one job and return its exit code."""
    share_cores()  # before OpenMP, which comes with torch, reads it
    be_private()
    offline.begin()  # before torch and transformers read their switches
    sys.excepthook = crash.print_report  # a run's log is a file
    if not argv or argv[0] not in JOBS:
        print(f"usage: python -m rlhf_desktop.worker {'|'.join(JOBS)} …", file=sys.stderr)
        return 2
    job, *rest = argv
    if job == "train":  # speaks through files; its output is the run's log
        return int(importlib.import_module("rlhf_desktop.worker.train").main(rest))
    if job in FILE_JOBS:
        be_kind()
    with private_stdout() as protocol:
        return int(importlib.import_module(f"rlhf_desktop.worker.{job}").main(rest, protocol))


if __name__ == "__main__":
    kernel_guard.hold()
    sys.exit(main(sys.argv[1:]))
