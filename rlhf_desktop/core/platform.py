"""What differs between operating systems: processes, locks, durable renames, signals, disk space.

Linux is supported and tested; Windows and macOS are tested in imitation (packaging/windows.md, packaging/macos.md).
"""

import contextlib
import errno
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import psutil

from rlhf_desktop.core import windows_jobs
from rlhf_desktop.core.runs import ProcessRef

_STARTTIME = 19  # among the fields of /proc/PID/stat after the name: proc(5) calls it the 22nd
_START_TOLERANCE_S = 2.0  # a start time is computed from the boot time, which systems report to the second
_T = TypeVar("_T")

if sys.platform == "win32":
    NO_WINDOW = subprocess.CREATE_NO_WINDOW  # `creationflags` of whatever we start: it would be given a console otherwise
    _APART = NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
    _OUT_OF_JOB = subprocess.CREATE_BREAKAWAY_FROM_JOB
else:
    NO_WINDOW = _APART = _OUT_OF_JOB = 0
_PR_SET_DUMPABLE = 4
_WHOLE_GROUP = 4  # PIDFD_SIGNAL_PROCESS_GROUP of pidfd_send_signal(2)
_SUSPENDED = 0x4  # Windows' CREATE_SUSPENDED
_KINDNESS = 10  # as `nice` says it
_PAUSES_S = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0, 1.0)
_MOMENTARY = (errno.EACCES, errno.EPERM, errno.ENOTEMPTY)  # the last: a deleted file stays until its last handle is closed
_MAPPED = 1224  # Windows' ERROR_USER_MAPPED_FILE
_LOCKED_BYTE = 1 << 30  # far behind the holder's information, which must stay readable where locks are mandatory


# --- files --------------------------------------------------------------------------------------------------------------------


def fsync_dir(path: Path) -> None:
    """Make a rename in this folder durable (a no-op where folders cannot be opened, as on Windows)."""
    if sys.platform == "win32":
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace(source: Path, target: Path) -> None:
    """Rename over an existing file, however long (within seconds) a reader's open handle forbids it on Windows."""
    _insist(lambda: os.replace(source, target))


def be_private() -> None:
    """Let no other user of the computer read or change what this process makes from now on. Windows' own folders see to that.

    And should it crash, its memory, which holds texts, is not written to the disk; nor is that of the processes it starts.
    """
    if sys.platform != "win32":
        import resource

        os.umask(0o077)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def hide_memory() -> None:
    """Let no other process of this user read the memory of this one, which holds a key, and no crash write it down (Linux)."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def make_private(path: Path) -> None:
    """Take a file or folder of this user's away from all others. One that is not there, or somebody else's, stays as it is."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        found = path.lstat()
        if found.st_uid == os.getuid() and not stat.S_ISLNK(found.st_mode) and found.st_mode & 0o077:
            path.chmod(stat.S_IMODE(found.st_mode) & 0o700)


def others_can_read(folder: Path) -> bool:
    """Whether other users of the computer can list a folder, as far as its own mode says."""
    return sys.platform != "win32" and bool(folder.stat().st_mode & 0o044)


def rename(source: Path, target: Path) -> None:
    """Give a file or folder a name that is free. On Windows a scanner that looks into a folder forbids that for a moment."""
    _insist(lambda: source.rename(target))


def remove_tree(folder: Path, *, ignore_errors: bool = False) -> None:
    """Delete a folder, also where read-only files or a scanner forbid it for a moment (Windows)."""
    try:
        _insist(lambda: _remove(folder))
    except OSError:
        if not ignore_errors:
            raise
        shutil.rmtree(folder, ignore_errors=True)  # what can be


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except PermissionError:
        if sys.platform == "win32":  # where a file's own mark forbids it, not its folder's
            for path in folder.rglob("*"):
                path.chmod(stat.S_IWRITE)
        raise


def read_replaced(path: Path) -> bytes:
    """The content of a file that another process may be replacing just now, which Windows lets nobody open for that moment."""
    return _insist(path.read_bytes)


def _insist(do: Callable[[], _T]) -> _T:
    """Do it, on Windows again while another program's open handle may be what forbids it."""
    for pause_s in _PAUSES_S if sys.platform == "win32" else ():
        try:
            return do()
        except OSError as problem:
            if problem.errno not in _MOMENTARY and getattr(problem, "winerror", 0) != _MAPPED:
                raise
            time.sleep(pause_s)
    return do()


def free_disk_bytes(path: Path) -> int:
    """Bytes this user may still write on the disk that holds `path` (or its nearest existing parent)."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


# --- processes ----------------------------------------------------------------------------------------------------------------


def process_ref(pid: int | None = None) -> ProcessRef | None:
    """A process by number and start time; this process by default. None when there is no such process."""
    try:
        process = psutil.Process(pid)
        boot, ticks = _since_boot(process.pid)
        return ProcessRef(pid=process.pid, start_time=process.create_time(), boot=boot, ticks=ticks)
    except psutil.NoSuchProcess:
        return None


def _since_boot(pid: int) -> tuple[str, int]:
    """Which start of the computer this is, and when a process began since then; ("", 0) where the system does not say.

    Linux alone computes a start time from the clock, so that a clock that is set moves it: a living trainer would look dead.
    """
    if not sys.platform.startswith("linux"):
        return "", 0
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return "", 0
    return boot, int(stat[stat.rindex(b")") + 2 :].split()[_STARTTIME])


def is_alive(ref: ProcessRef | None) -> bool:
    """Whether this very process, not a later one with its number, still runs. A zombie is dead."""
    if ref is None or not 0 < ref.pid < 2**31:  # from a file, so it may be anything
        return False
    try:
        process = psutil.Process(ref.pid)
        if ref.boot and (now := _since_boot(ref.pid))[0]:
            same = now == (ref.boot, ref.ticks)
        else:
            same = abs(process.create_time() - ref.start_time) < _START_TOLERANCE_S
        return same and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True  # another user's process: it is there, and that is all we can know


def spawn_detached(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> None:
    """Start a program in a session of its own that outlives this one; its output is appended to `log`."""
    with log.open("ab") as output:
        if sys.platform == "win32":
            child = _spawn_on_windows(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            child.returncode = 0  # ours to start, not to wait for
            return
        # The shell ends at once and leaves the program to the system, so it never becomes our zombie.
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *command],
            cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, check=True,
        )  # fmt: skip


def _spawn_on_windows(command: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
    """Outside the job of whoever started us, which may end with it (a terminal, an editor); inside where that is forbidden.

    With a console that nobody sees rather than none: else the Python that an environment's `python.exe` starts opens its own.
    """
    try:
        return subprocess.Popen(command, creationflags=_APART | _OUT_OF_JOB, text=False, **options)
    except PermissionError:
        return subprocess.Popen(command, creationflags=_APART, text=False, **options)


def start_child(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: int = subprocess.DEVNULL,
    output: IO[bytes] | int,
    errors: int | None = subprocess.STDOUT,
    held_lock: "FileLock | None" = None,
    memory_bytes: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child in a process group of its own, so that Ctrl+C in a terminal does not reach it.

    On Windows the group is a job, which ends with this process: a lock cannot be handed on there, so it must not be outlived.

    Args:
        command: The program and its arguments.
        cwd: Where it runs.
        env: Its whole environment.
        stdin: As for `Popen`.
        output: Its stdout, as for `Popen`.
        errors: Its stderr, as for `Popen`; by default the same as `output`; None: this process's.
        held_lock: Stays locked until the child has ended too, even if this process is killed first (not on Windows).
        memory_bytes: What each process of the group may allocate at most (on Windows; elsewhere a process limits itself).
    """
    if sys.platform == "win32":
        return _start_in_job(command, memory_bytes, cwd=cwd, env=env, stdin=stdin, stdout=output, stderr=errors)
    passed = () if held_lock is None else (held_lock.fileno(),)
    return subprocess.Popen(command, cwd=cwd, env=env, stdin=stdin, stdout=output, stderr=errors, process_group=0, pass_fds=passed)


def _start_in_job(command: Sequence[str], memory_bytes: int | None, **options: Any) -> "subprocess.Popen[bytes]":
    """Start a child that goes on only once it is in its job, so that none of its own children escapes."""
    child = subprocess.Popen(command, creationflags=_APART | _SUSPENDED, text=False, **options)
    if let_go := windows_jobs.hold(child.pid, windows_jobs.system_kernel32(), memory_bytes=memory_bytes):
        weakref.finalize(child, let_go)
    try:
        psutil.Process(child.pid).resume()
    except psutil.Error as problem:
        child.kill()
        raise OSError(f"the process could not be let go: {problem}") from problem
    return child


def kill_group(pid: int) -> None:
    """Kill what is left of the process group a `start_child` began; none left is fine."""
    if sys.platform == "win32":
        if not windows_jobs.end(pid, windows_jobs.system_kernel32()):
            _kill_tree(pid)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def end_process(ref: ProcessRef | None) -> bool:
    """Kill this very process and its group. Returns whether it was still there.

    Where there are pidfds (Linux), one is opened before the process is looked at: from then on it means that process, although its
    number may pass to another. Elsewhere a moment stays between looking and killing.
    """
    if ref is None or not 0 < ref.pid < 2**31:
        return False
    with _held(ref.pid) as pidfd:
        if not is_alive(ref):
            return False
        if pidfd is None or not _signal_group(pidfd):
            kill_group(ref.pid)
        return True


@contextlib.contextmanager
def _held(pid: int) -> Iterator[int | None]:
    """A pidfd of a process, where the system has them."""
    pidfd = None
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # gone, or an old kernel
            pidfd = os.pidfd_open(pid)
    try:
        yield pidfd
    finally:
        if pidfd is not None:
            os.close(pidfd)


def _signal_group(pidfd: int) -> bool:
    """Kill a process's whole group by its pidfd, as Linux can since 6.9. False: its number has to do, while it is its own."""
    if sys.platform == "linux":
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL, None, _WHOLE_GROUP)
            return True
        except ProcessLookupError:  # it is gone, and its number may be another's
            return True
        except OSError:
            return False
    return False


def _kill_tree(pid: int) -> None:
    """A process and its descendants, one by one: for a process without a job, as where Windows refused it."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):  # the parent first, or it may go on as its child ends
            with contextlib.suppress(psutil.Error):
                one.kill()


def be_kind() -> None:
    """Let everything else on this computer go before this process."""
    if sys.platform == "win32":
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        return
    os.nice(_KINDNESS)


@dataclass(frozen=True)
class Usage:
    """What a process has computed and holds."""

    cpu_s: float
    rss_bytes: int


def usage(pid: int) -> Usage:
    """Of a process and those it has started (an environment's Python on Windows starts another)."""
    cpu_s, rss_bytes = 0.0, 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = one.cpu_times()
                cpu_s, rss_bytes = cpu_s + times.user + times.system, rss_bytes + one.memory_info().rss
    return Usage(cpu_s, rss_bytes)


def peak_rss_bytes() -> int:
    """The most memory this process has had resident so far."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def signal_of(exit_code: int) -> str | None:
    """The name of the signal that ended a process, from `Popen.returncode`; None: it ended by itself."""
    if sys.platform == "win32" and exit_code == windows_jobs.KILLED_CODE:
        return "SIGKILL"
    return signal_name(-exit_code) if exit_code < 0 else None


def signal_name(number: int) -> str:
    """The name of a signal: `SIGKILL` for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def write_utf8() -> None:
    """Print UTF-8 into files and pipes; a terminal keeps its own encoding and gets escapes for what that lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")


# --- locks --------------------------------------------------------------------------------------------------------------------


class FileLock:
    """An exclusive lock the system lifts when its holder ends, however it ends. The file says who holds it.

    The file is never deleted: a lock on a deleted file excludes nobody.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def acquire(self, *, wait: bool = False) -> bool:
        """Take the lock. Returns whether we have it now; with `wait` it always does, once others let go."""
        if self._file is not None:
            return True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        file = os.fdopen(fd, "r+b", buffering=0)
        if not _lock(file, wait):
            file.close()
            return False
        self._file = file
        return True

    def say(self, **info: Any) -> None:
        """Write who holds the lock, for `holder`: this process, and whatever `info` adds."""
        assert self._file is not None, "say who holds a lock only while holding it"
        ref = process_ref()
        assert ref is not None
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps({**info, **ref.model_dump()}).encode("utf-8"))

    def release(self) -> None:
        """Let go. What `say` wrote is removed before, so nobody relies on a holder that has stopped looking.

        Closing instead of unlocking: a child that was given the lock keeps it. Not on Windows, where nobody was given it and the
        system lifts the lock of a closed file when it finds the time.
        """
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.truncate(0)
            if sys.platform == "win32":
                import msvcrt

                self._file.seek(_LOCKED_BYTE)
                msvcrt.locking(self._file.fileno(), msvcrt.LK_UNLCK, 1)
            self._file.close()
            self._file = None

    def fileno(self) -> int:
        """The descriptor that carries the lock."""
        assert self._file is not None, "not held"
        return self._file.fileno()

    def holder(self) -> dict[str, Any] | None:
        """What the living holder said about itself (always `pid` and `start_time`), or None."""
        try:
            info = json.loads(self.path.read_bytes() or b"null") if self.path.is_file() else None
            ref = (
                ProcessRef.model_validate({name: info[name] for name in ProcessRef.model_fields if name in info}) if info else None
            )
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return info if is_alive(ref) else None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for a moment, waiting for it."""
        self.acquire(wait=True)
        try:
            yield
        finally:
            self.release()


def _lock(file: IO[bytes], wait: bool) -> bool:
    if sys.platform == "win32":
        import msvcrt

        file.seek(_LOCKED_BYTE)
        while True:
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
                return True
            except OSError:
                if not wait:
                    return False
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
