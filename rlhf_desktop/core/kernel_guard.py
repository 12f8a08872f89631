"""Holds a process that never needs the network to that by the kernel, on Linux: no socket but those between local processes.

A seccomp filter, for good and for all that the process starts: unlike the guard in Python (`core.offline`) it also binds code in C,
programs, and whoever makes system calls by number. It allows everything but `socket` of any family other than AF_UNIX and
AF_NETLINK (drivers ask the kernel through it), io_uring, which opens sockets without that call, and calls in another
architecture's numbering. See seccomp(2).
"""

import ctypes
import os
import platform
import sys
from dataclasses import dataclass

OFF = "RLHF_DESKTOP_KERNEL_GUARD"
"""Set to 0 where something a worker needs, such as a card's driver, cannot do without other sockets."""

_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER = 1
_ALL_THREADS, _NO_MITIGATIONS = 1, 4  # SECCOMP_FILTER_FLAG_TSYNC, _SPEC_ALLOW: the filter is no sandbox for hostile code
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_EACCES, _ENOSYS = 13, 38
_AF_UNIX, _AF_NETLINK = 1, 16
_X32_BIT = 0x40000000
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_JMP|JGE|K, BPF_RET|K
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16  # in struct seccomp_data, little-endian


@dataclass(frozen=True)
class _Machine:
    """A processor's names for things."""

    audit: int
    seccomp: int
    socket: int
    io_uring_setup: int


_MACHINES = {"x86_64": _Machine(0xC000003E, 317, 41, 425), "aarch64": _Machine(0xC00000B7, 277, 198, 425)}


class _Step(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("value", ctypes.c_uint))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.POINTER(_Step)))


def is_possible() -> bool:
    """Whether this system has such filters, as far as this module knows it, and nobody has said not to."""
    unwanted = os.environ.get(OFF) == "0" or int(os.environ.get("WORLD_SIZE", "1")) > 1
    return sys.platform == "linux" and platform.machine() in _MACHINES and sys.maxsize > 2**32 and not unwanted


def hold() -> bool:
    """Give up the network, all threads, for good. Returns whether the kernel does it; elsewhere the guard in Python stands alone.

    A run that is spread over several processes keeps it: they talk to one another through sockets.
    """
    if not is_possible():
        return False
    machine = _MACHINES[platform.machine()]
    steps = _steps(machine)
    program = _Program(len(steps), (_Step * len(steps))(*steps))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    flags = ctypes.c_ulong(_ALL_THREADS | _NO_MITIGATIONS)
    return bool(libc.syscall(ctypes.c_long(machine.seccomp), ctypes.c_long(_SET_MODE_FILTER), flags, ctypes.byref(program)) == 0)


def _steps(machine: _Machine) -> list[_Step]:
    """The filter. A step's `yes` and `no` are how many steps to leave out."""
    return [
        _Step(_LOAD, 0, 0, _ARCHITECTURE_AT),
        _Step(_EQUAL, 0, 9, machine.audit),
        _Step(_LOAD, 0, 0, _NUMBER_AT),
        _Step(_AT_LEAST, 7, 0, _X32_BIT),
        _Step(_EQUAL, 6, 0, machine.io_uring_setup),
        _Step(_EQUAL, 0, 3, machine.socket),
        _Step(_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        _Step(_EQUAL, 1, 0, _AF_UNIX),
        _Step(_EQUAL, 0, 1, _AF_NETLINK),
        _Step(_RETURN, 0, 0, _ALLOW),
        _Step(_RETURN, 0, 0, _ERRNO | _EACCES),
        _Step(_RETURN, 0, 0, _ERRNO | _ENOSYS),
    ]
