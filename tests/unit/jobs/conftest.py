import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from jobs_helpers import STUB, live_processes

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.jobs.queue import Queue


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("RLHF_DESKTOP_STATE", str(tmp_path / "state"))
    workspace = Workspace(tmp_path / "workspace").ensure()
    yield workspace
    while processes := live_processes(workspace):
        for ref in processes:
            with suppress(ProcessLookupError):
                os.kill(ref.pid, signal.SIGKILL)


@pytest.fixture
def queue(workspace: Workspace) -> Queue:
    return Queue(workspace, STUB)
