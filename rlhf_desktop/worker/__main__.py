"""`python -m rlhf_desktop.worker chat|train|probe|convert|export|check|calibrate …`: the processes that import torch."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import BinaryIO

from rlhf_desktop.core import crash, offline
from rlhf_desktop.core.platform import be_kind

JOBS = ("chat", "train", "probe", "convert", "export", "check", "calibrate")
FILE_JOBS = ("convert", "export")  # nobody looks on, so the window comes first


def private_stdout() -> BinaryIO:
    """Take the real standard output for the protocol and point descriptor 1 at standard error.

    Done before torch is imported: whatever a library, in Python or C++, prints cannot get between two lines of the protocol.
    """
    sys.stdout.flush()
    protocol = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return protocol


def main(argv: Sequence[str]) -> int:
    """Run one job and return its exit code."""
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
    sys.exit(main(sys.argv[1:]))
