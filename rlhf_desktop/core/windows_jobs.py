"""Windows' job objects: a process and all it starts, held together, so that they can be limited and ended as one.

Elsewhere a process group does this. A job is found again by its name, from any process of the user's session.
"""

import ctypes
import sys
from collections.abc import Callable
from typing import Any, Protocol

KILLED_CODE = 137  # with which an ended process exits: what a shell says of SIGKILL

_TERMINATE_JOB = 0x0008
_SET_QUOTA_AND_TERMINATE = 0x0101
_EXTENDED_LIMITS = 9
_LIMIT_PROCESS_MEMORY = 0x0100
_KILL_ON_CLOSE = 0x2000


class _BasicLimits(ctypes.Structure):
    _fields_ = [
        ("PerProcessUserTimeLimit", ctypes.c_int64),
        ("PerJobUserTimeLimit", ctypes.c_int64),
        ("LimitFlags", ctypes.c_uint32),
        ("MinimumWorkingSetSize", ctypes.c_size_t),
        ("MaximumWorkingSetSize", ctypes.c_size_t),
        ("ActiveProcessLimit", ctypes.c_uint32),
        ("Affinity", ctypes.c_size_t),
        ("PriorityClass", ctypes.c_uint32),
        ("SchedulingClass", ctypes.c_uint32),
    ]


class ExtendedLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = [
        ("BasicLimitInformation", _BasicLimits),
        ("IoInfo", ctypes.c_uint64 * 6),
        ("ProcessMemoryLimit", ctypes.c_size_t),
        ("JobMemoryLimit", ctypes.c_size_t),
        ("PeakProcessMemoryUsed", ctypes.c_size_t),
        ("PeakJobMemoryUsed", ctypes.c_size_t),
    ]


class Kernel32(Protocol):
    """What we use of kernel32. Handles are numbers; 0 or None says that a call failed."""

    CreateJobObjectW: Callable[[None, str | None], int | None]
    OpenJobObjectW: Callable[[int, bool, str], int | None]
    SetInformationJobObject: Callable[[int, int, Any, int], int]
    AssignProcessToJobObject: Callable[[int, int], int]
    TerminateJobObject: Callable[[int, int], int]
    OpenProcess: Callable[[int, bool, int], int | None]
    CloseHandle: Callable[[int], int]


_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {  # a handle has the width of a pointer, which ctypes does not guess
    "CreateJobObjectW": (ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_wchar_p]),
    "OpenJobObjectW": (ctypes.c_void_p, [ctypes.c_uint32, ctypes.c_int, ctypes.c_wchar_p]),
    "SetInformationJobObject": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32]),
    "AssignProcessToJobObject": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_void_p]),
    "TerminateJobObject": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_uint32]),
    "OpenProcess": (ctypes.c_void_p, [ctypes.c_uint32, ctypes.c_int, ctypes.c_uint32]),
    "CloseHandle": (ctypes.c_int, [ctypes.c_void_p]),
}


def system_kernel32() -> Kernel32:
    """The real one."""
    if sys.platform != "win32":
        raise OSError("kernel32 is a part of Windows")
    library: Any = ctypes.WinDLL("kernel32", use_last_error=True)
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    found: Kernel32 = library
    return found


def job_name(pid: int) -> str:
    """The name of the job that holds this process and its children."""
    return f"Local\\rlhf-desktop-{pid}"


def hold(pid: int, kernel32: Kernel32, *, memory_bytes: int | None = None) -> Callable[[], object] | None:
    """Put a process, which has started no other yet, into a job of its own.

    Args:
        pid: Whose.
        kernel32: Windows' functions.
        memory_bytes: What it may allocate at most.

    Returns:
        Lets go of the job, which ends whoever is left in it, as the end of this process does. None: Windows refused, and the
        process runs without.
    """
    job = kernel32.CreateJobObjectW(None, job_name(pid))
    if not job:
        return None
    process = kernel32.OpenProcess(_SET_QUOTA_AND_TERMINATE, False, pid)
    limits = _limits(memory_bytes)
    held = (
        process
        and kernel32.SetInformationJobObject(job, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits))
        and kernel32.AssignProcessToJobObject(job, process)
    )
    if process:
        kernel32.CloseHandle(process)
    if not held:
        kernel32.CloseHandle(job)
        return None
    return lambda: kernel32.CloseHandle(job)


def _limits(memory_bytes: int | None) -> ExtendedLimits:
    limits = ExtendedLimits()
    limits.BasicLimitInformation.LimitFlags = _KILL_ON_CLOSE
    if memory_bytes is not None:
        limits.BasicLimitInformation.LimitFlags |= _LIMIT_PROCESS_MEMORY
        limits.ProcessMemoryLimit = memory_bytes
    return limits


def end(pid: int, kernel32: Kernel32) -> bool:
    """End a process that `hold` was told of, whoever told it, and all it has started. Whether there was such a job."""
    job = kernel32.OpenJobObjectW(_TERMINATE_JOB, False, job_name(pid))
    if not job:
        return False
    ended = kernel32.TerminateJobObject(job, KILLED_CODE)
    kernel32.CloseHandle(job)
    return bool(ended)
