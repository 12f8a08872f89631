# ruff: noqa: N802, PTH100, PTH110, PTH112, PTH115 (the names of Windows, and a layer below pathlib)
"""What `sitecustomize` gives this program of Windows: locks, jobs, starting processes, a clock, and files that are held."""

import ctypes
import errno
import fcntl
import os
import shutil
import signal
import subprocess
import time
import types
from pathlib import Path

import psutil

O_BINARY = 0x8000
CREATE_SUSPENDED, CREATE_NEW_PROCESS_GROUP, CREATE_BREAKAWAY_FROM_JOB = 0x4, 0x200, 0x1000000
DETACHED_PROCESS, CREATE_NO_WINDOW = 0x8, 0x8000000
NOT_ON_WINDOWS = ("preexec_fn", "pass_fds", "start_new_session", "process_group", "user", "group", "extra_groups", "umask")
STOPPED_FIRST = ["/bin/sh", "-c", 'kill -STOP $$; exec "$@"', "sh"]
KILL_ON_CLOSE = 0x2000


def proxies(proxy):
    """Modules as Windows has them, by name."""
    constants = {name: value for name, value in globals().items() if name.startswith(("CREATE_", "DETACHED_"))}
    constants.pop("CREATE_SUSPENDED")  # Python's module does not have it
    calls = {"SetThreadExecutionState": lambda flags: 1, "QueryUnbiasedInterruptTime": unbiased_time}
    windows = types.SimpleNamespace(kernel32=types.SimpleNamespace(**calls))
    return {
        "subprocess": proxy(subprocess, Popen=Popen, run=run, **constants),
        "ctypes": proxy(ctypes, WinDLL=lambda name, use_last_error=False: Kernel32(), windll=windows),
        "psutil": proxy(psutil, Process=Process, BELOW_NORMAL_PRIORITY_CLASS=0x4000),
        "msvcrt": types.SimpleNamespace(locking=locking, LK_UNLCK=0, LK_LOCK=1, LK_NBLCK=2),
    }


def unbiased_time(ticks):
    """Parts of 100 ns since the start, sleep left out."""
    ticks._obj.value = time.monotonic_ns() // 100
    return 1


# --- files --------------------------------------------------------------------------------------------------------------------


def open_fd(path, flags, mode=0o777):
    """`os.open`; each of this program's is for bytes, and says so."""
    writes = flags & (os.O_WRONLY | os.O_RDWR)
    exempt = path == os.devnull or str(path).endswith(".lock")  # opened again by `os.fdopen`, which changes that
    assert flags & O_BINARY or not writes or exempt, f"{path} would get other ends of lines"
    return os.open(path, flags & ~O_BINARY, mode)


def locking(fd, mode, count):
    """Locks belong to an open file, and are lifted when it is closed."""
    if mode == 0:
        fcntl.flock(fd, fcntl.LOCK_UN)
        return None
    for attempt in range(10 if mode == 1 else 1):
        time.sleep(0.1 * bool(attempt))
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
    raise OSError(errno.EDEADLOCK if mode == 1 else errno.EACCES, "locked")


def hold_files(disk):
    """Refuse what Windows refuses below this folder."""
    shutil._use_fd_functions = False  # as there
    for name in ("rename", "replace", "unlink", "remove", "rmdir"):
        setattr(os, name, _refusing(getattr(os, name), os.path.realpath(disk), overwrites=name == "replace"))
    fsync = os.fsync

    def windows_fsync(fd):
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY and not os.path.isdir(fd):
            raise OSError(errno.EBADF, "a handle that may only read")
        fsync(fd)

    os.fsync = windows_fsync


def _refusing(really, disk, overwrites):
    def change(path, *more, **options):
        places = [os.path.abspath(os.fsdecode(place)) for place in (path, *more) if isinstance(place, (str, bytes, os.PathLike))]
        if places and all(os.path.realpath(place).startswith(disk) for place in places):
            if len(places) == 2 and not overwrites and os.path.exists(places[1]):
                raise FileExistsError(errno.EEXIST, "there is such a file", places[1])
            for place in places:
                if who := _holder(place):
                    raise PermissionError(errno.EACCES, f"in use by {who}", place)
        return really(path, *more, **options)

    return change


def _holder(place):
    """What is open there, or below, in any process of ours; "" if nothing is."""
    ours = os.fsencode(os.environ["IMITATED_DISK"])
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if ours not in process.joinpath("environ").read_bytes():
                continue
            held = [os.readlink(fd) for fd in process.joinpath("fd").iterdir() if os.path.lexists(fd)]  # the listing's own is gone
            held += [line.split(maxsplit=5)[5] for line in process.joinpath("maps").read_text().splitlines() if disk_file(line)]
        except OSError:
            continue  # it has ended, or is another's
        for file in held:
            if file == place or file.startswith(place + os.sep):
                return f"process {process.name}: {file}"
    return ""


def disk_file(line):
    """Whether a line of /proc/…/maps names a file."""
    return line.count("/") > 1 and len(line.split(maxsplit=5)) == 6


# --- processes ----------------------------------------------------------------------------------------------------------------


class Process(psutil.Process):
    """With what psutil tells on Windows."""

    def memory_info(self):
        told = super().memory_info()
        return types.SimpleNamespace(rss=told.rss, vms=told.vms, peak_wset=told.rss)

    def nice(self, value=None):
        assert value in (None, 0x4000), "a class of priorities, not a number"


def checked(options):
    """The options of a new process as Linux takes them. Windows knows some not, and would open a window for others."""
    assert not [name for name in NOT_ON_WINDOWS if options.get(name)], options
    flags = options.pop("creationflags", 0)
    assert flags & CREATE_NO_WINDOW, "a console window would open"
    assert not flags & DETACHED_PROCESS, "it excludes CREATE_NO_WINDOW"
    if flags & CREATE_BREAKAWAY_FROM_JOB:
        raise PermissionError(errno.EACCES, "our own job does not allow it")
    return {**options, "process_group": 0}, bool(flags & CREATE_SUSPENDED)


class Popen(subprocess.Popen):
    """A process that Windows would start too, stopped at first where that was asked; exit codes are never negative."""

    def __init__(self, command, **options):
        options, suspended = checked(options)
        super().__init__([*STOPPED_FIRST, *command] if suspended else command, **options)
        while suspended and psutil.Process(self.pid).status() != psutil.STATUS_STOPPED:
            time.sleep(0.005)

    def _handle_exitstatus(self, sts):
        super()._handle_exitstatus(sts)
        if self.returncode < 0:
            ended = _jobs() / f"{self.pid}.ended"
            self.returncode = int(ended.read_text()) if ended.exists() else 1


def run(command, **options):
    """`subprocess.run`, checked as `Popen` is."""
    options, _ = checked(options)
    return subprocess.run(command, **options)


# --- jobs ---------------------------------------------------------------------------------------------------------------------


def _jobs():
    folder = Path(os.environ["IMITATED_DISK"]) / "windows-jobs"  # named objects are seen by every process
    folder.mkdir(exist_ok=True)
    return folder


class Function:
    """A function of a library: it takes a signature, as ctypes' do."""

    def __init__(self, does):
        self._does = does

    def __call__(self, *values):
        assert len(values) == len(self.argtypes), "ctypes was not told the signature"
        return self._does(*values)


FUNCTIONS = (
    "CreateJobObjectW", "OpenJobObjectW", "SetInformationJobObject", "AssignProcessToJobObject", "TerminateJobObject",
    "OpenProcess", "CloseHandle",
)  # fmt: skip


class Kernel32:
    """Job objects: a file for each, with the process it holds."""

    handles = {}

    def __init__(self):
        for name in FUNCTIONS:
            setattr(self, name, Function(getattr(self, "_" + name)))

    def _give(self, what):
        handle = 1000 + len(self.handles)
        self.handles[handle] = what
        return handle

    def _CreateJobObjectW(self, security, name):
        return self._give(types.SimpleNamespace(file=_jobs() / name.replace("\\", "-"), kill_on_close=False))

    def _OpenJobObjectW(self, access, inherit, name):
        file = _jobs() / name.replace("\\", "-")
        return self._give(types.SimpleNamespace(file=file, kill_on_close=False)) if file.exists() else None

    def _SetInformationJobObject(self, job, kind, info, size):
        flags = ctypes.cast(info, ctypes.POINTER(ctypes.c_uint32))[4]  # LimitFlags, after two numbers of eight bytes
        self.handles[job].kill_on_close = bool(flags & KILL_ON_CLOSE)
        return 1

    def _OpenProcess(self, access, inherit, pid):
        return self._give(pid) if psutil.pid_exists(pid) else None

    def _AssignProcessToJobObject(self, job, process):
        self.handles[job].file.write_text(str(self.handles[process]))
        return 1

    def _TerminateJobObject(self, job, code):
        pid = int(self.handles[job].file.read_text())
        (_jobs() / f"{pid}.ended").write_text(str(code))
        _kill(pid)
        return 1

    def _CloseHandle(self, handle):
        closed = self.handles.pop(handle)
        if isinstance(closed, types.SimpleNamespace) and closed.kill_on_close:
            _kill(int(closed.file.read_text()))
            closed.file.unlink()
        return 1


def _kill(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
