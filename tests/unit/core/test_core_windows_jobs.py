# ruff: noqa: N802 (Windows' own names)
"""Job objects against an imitation of kernel32: what is asked of Windows, in which order, and what is let go."""

import ctypes

import pytest

from rlhf_desktop.core.windows_jobs import KILLED_CODE, ExtendedLimits, end, hold, job_name, system_kernel32

PID = 4711


class FakeKernel32:
    """Keeps handles and jobs as Windows would; `refuses` names the call that fails."""

    def __init__(self, refuses: str = "") -> None:
        self.refuses = refuses
        self.handles: dict[int, object] = {}
        self.members: dict[str, list[int]] = {}
        self.limits: ExtendedLimits | None = None
        self.ended: list[tuple[str, int]] = []

    def _give(self, call: str, what: object) -> int:
        if call == self.refuses:
            return 0
        handle = 16 + 4 * len(self.handles)
        self.handles[handle] = what
        return handle

    def CreateJobObjectW(self, security, name):
        self.members.setdefault(name, [])
        return self._give("CreateJobObjectW", name)

    def OpenJobObjectW(self, access, inherit, name):
        assert access == 0x0008
        return self._give("OpenJobObjectW", name) if name in self.members else 0

    def SetInformationJobObject(self, job, kind, info, size):
        assert (kind, size) == (9, ctypes.sizeof(ExtendedLimits))
        self.limits = ctypes.cast(info, ctypes.POINTER(ExtendedLimits)).contents
        return int(self.refuses != "SetInformationJobObject")

    def AssignProcessToJobObject(self, job, process):
        self.members[self.handles[job]].append(self.handles[process])
        return int(self.refuses != "AssignProcessToJobObject")

    def TerminateJobObject(self, job, code):
        self.ended.append((self.handles[job], code))
        return 1

    def OpenProcess(self, access, inherit, pid):
        assert access == 0x0101
        return self._give("OpenProcess", pid)

    def CloseHandle(self, handle):
        del self.handles[handle]
        return 1


def test_a_held_process_ends_with_its_holder_and_by_name() -> None:
    windows = FakeKernel32()
    let_go = hold(PID, windows)
    assert windows.members == {job_name(PID): [PID]}
    assert list(windows.handles.values()) == [job_name(PID)]  # the process's own handle is closed again
    assert windows.limits.BasicLimitInformation.LimitFlags == 0x2000  # ends when the last handle is closed
    assert end(PID, windows)
    assert windows.ended == [(job_name(PID), KILLED_CODE)]
    let_go()
    assert windows.handles == {}


def test_memory_is_limited_when_asked() -> None:
    windows = FakeKernel32()
    hold(PID, windows, memory_bytes=1 << 30)
    assert windows.limits.BasicLimitInformation.LimitFlags == 0x2100
    assert windows.limits.ProcessMemoryLimit == 1 << 30


@pytest.mark.parametrize("call", ["CreateJobObjectW", "OpenProcess", "SetInformationJobObject", "AssignProcessToJobObject"])
def test_a_refusal_leaves_nothing_open(call: str) -> None:
    windows = FakeKernel32(refuses=call)
    assert hold(PID, windows) is None
    assert windows.handles == {}


def test_a_process_without_a_job_is_not_ended_by_one() -> None:
    windows = FakeKernel32()
    assert not end(PID, windows)
    assert windows.ended == []


def test_the_structure_has_windows_own_size() -> None:
    assert ctypes.sizeof(ExtendedLimits) == (144 if ctypes.sizeof(ctypes.c_void_p) == 8 else 112)


def test_there_is_no_kernel32_elsewhere() -> None:
    with pytest.raises(OSError, match="part of Windows"):
        system_kernel32()
