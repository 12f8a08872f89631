"""Windows or macOS for this program's own modules, on Linux: Python runs this at every start, `IMITATED_SYSTEM` says which one.

Only modules of `rlhf_desktop` meet the other system; the libraries run as on Linux, where they are installed. Our modules import
proxies: of `sys` with the other platform's name, of `os`, `signal`, `time`, `socket` and `select` without what the other system
lacks, and no `resource`, `fcntl`, `pwd`, `grp` or `termios` at all where there is none. Windows' locks, jobs and ways to start a
process are imitated; and no file below `IMITATED_DISK` is renamed, replaced or deleted while any process has it open or mapped,
no folder while a file in it is.
"""

import builtins
import os
import sys
import time
import types

SYSTEM = os.environ.get("IMITATED_SYSTEM", "")
POSIX_MODULES = ("resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "syslog", "spwd", "crypt", "nis", "readline", "curses")
NOT_ON_WINDOWS = {
    "os": """fork forkpty getuid geteuid getgid getegid getgroups getpgid getpgrp getpriority setpriority setsid getsid setuid
        seteuid setgid setpgid killpg nice uname sched_getaffinity sched_setaffinity sched_yield mkfifo mknod chown
        fchown lchown fchmod chroot sync fdatasync statvfs fstatvfs sysconf confstr getloadavg wait wait3 wait4 waitid
        WNOHANG WIFEXITED WEXITSTATUS posix_fadvise posix_fallocate posix_spawn posix_spawnp pread pwrite readv writev
        sendfile openpty ttyname ctermid pipe2 register_at_fork P_PID P_ALL getxattr setxattr listxattr memfd_create
        set_blocking get_blocking tcgetpgrp lockf eventfd O_NONBLOCK O_NOFOLLOW O_DIRECTORY O_CLOEXEC O_SYNC O_NOCTTY
        O_DSYNC""",
    "signal": """SIGALRM SIGKILL SIGHUP SIGUSR1 SIGUSR2 SIGCHLD SIGPIPE SIGQUIT SIGSTOP SIGCONT SIGTSTP alarm pause
        setitimer getitimer
        ITIMER_REAL ITIMER_VIRTUAL ITIMER_PROF pthread_kill pthread_sigmask sigwait sigpending siginterrupt
        set_wakeup_fd""",
    "socket": "AF_UNIX socketpair_unix SO_REUSEPORT",
    "time": "tzset clock_gettime clock_settime pthread_getcpuclockid CLOCK_REALTIME",
    "select": "poll epoll kqueue",
}
NOT_ON_MACOS = {
    "os": """sched_getaffinity sched_setaffinity sched_getparam posix_fadvise posix_fallocate pipe2 getxattr setxattr listxattr
        memfd_create eventfd fdatasync getresuid setresuid O_DIRECT O_TMPFILE splice copy_file_range""",
    "signal": "sigtimedwait sigwaitinfo SIGRTMIN SIGRTMAX SIGPWR",
    "time": "CLOCK_BOOTTIME clock_settime pthread_getcpuclockid",
    "select": "epoll EPOLLIN",
}


class Proxy(types.ModuleType):
    """A module with some names hidden and some of its own; whatever is set on it is set on the real one."""

    def __init__(self, real, hidden=(), **own):
        super().__init__(real.__name__)
        self.__dict__.update(own, _real=real, _hidden=frozenset(hidden))

    def __getattr__(self, name):
        if name in self._hidden:
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        return getattr(self._real, name)

    def __setattr__(self, name, value):
        setattr(self._real, name, value)


def install(proxies, missing):
    """Give the proxies, and refuse the missing modules, to modules of this program."""
    really = builtins.__import__

    def imported(name, globals=None, locals=None, fromlist=(), level=0):  # noqa: A002 (as Python calls it)
        package = (globals or {}).get("__package__") or ""
        if level == 0 and package.partition(".")[0] == "rlhf_desktop":
            top = name.partition(".")[0]
            if top in missing:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            if top in proxies and ("." not in name or not fromlist):
                return proxies[top]
        return really(name, globals, locals, fromlist, level)

    builtins.__import__ = imported


def hiding(names):
    """Proxies of the standard modules without these names."""
    return {name: Proxy(__import__(name), hidden.split()) for name, hidden in names.items()}


def be_macos():
    """No limit on a process's memory, sizes in bytes, no processor affinity."""
    import resource

    def setrlimit(kind, limits):
        if kind == resource.RLIMIT_AS:
            raise ValueError("current limit exceeds maximum limit")  # what Python makes of EINVAL
        resource.setrlimit(kind, limits)

    def getrusage(who):
        return types.SimpleNamespace(ru_maxrss=resource.getrusage(who).ru_maxrss * 1024)

    proxies = hiding(NOT_ON_MACOS)
    proxies["sys"] = Proxy(sys, platform="darwin")
    proxies["time"] = Proxy(time, NOT_ON_MACOS["time"].split(), CLOCK_UPTIME_RAW=time.CLOCK_MONOTONIC)
    proxies["resource"] = Proxy(resource, setrlimit=setrlimit, getrusage=getrusage)
    install(proxies, missing=("msvcrt", "winreg", "spwd"))


def be_windows():
    """See windows_imitation."""
    import windows_imitation

    proxies = hiding(NOT_ON_WINDOWS) | windows_imitation.proxies(Proxy)
    proxies["sys"] = Proxy(sys, platform="win32")
    own = {"name": "nt", "O_BINARY": windows_imitation.O_BINARY, "open": windows_imitation.open_fd}
    proxies["os"] = Proxy(os, NOT_ON_WINDOWS["os"].split(), **own)
    windows_imitation.hold_files(os.environ["IMITATED_DISK"])
    install(proxies, missing=POSIX_MODULES)


if SYSTEM == "darwin":
    be_macos()
elif SYSTEM == "win32":
    be_windows()
