import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from jobs_helpers import PROCESSOR, STUB, live_processes, remember

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.jobs import nvml
from rlhf_desktop.jobs.commands import package_parent
from rlhf_desktop.jobs.queue import Queue


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("RLHF_DESKTOP_STATE", str(tmp_path / "state"))
    remember(PROCESSOR)
    workspace = Workspace(tmp_path / "workspace").ensure()
    yield workspace
    while processes := live_processes(workspace):
        for ref in processes:
            with suppress(ProcessLookupError):
                os.kill(ref.pid, signal.SIGKILL)


@pytest.fixture
def imitated_nvml(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """NVIDIA's driver as `drive` says, for this process and those it starts; without a word from `drive` there is none."""
    folder = str(Path(__file__).with_name("imitated_nvml"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([folder, str(package_parent())]))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    nvml._nvml.cache_clear()
    yield
    nvml._nvml.cache_clear()
    sys.modules.pop("pynvml", None)


@pytest.fixture
def queue(workspace: Workspace) -> Queue:
    return Queue(workspace, STUB)
