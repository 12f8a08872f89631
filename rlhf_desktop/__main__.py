"""`rlhf-desktop`: the window when no command is given, else the command line. Each is imported only when it is wanted."""

import os
import sys
from importlib.util import find_spec

from rlhf_desktop.cli import run
from rlhf_desktop.cli.common import Options
from rlhf_desktop.core import offline
from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.platform import be_private, write_utf8

_WITHOUT_WINDOW = "Everything also works in the terminal: “rlhf-desktop demo” shows the loop, “rlhf-desktop --help” the commands."


def main(argv: list[str] | None = None) -> int:
    """The program. Returns its exit code."""
    be_private()
    offline.begin()
    write_utf8()
    return run(argv, open_window)


def open_window(options: Options) -> int:
    """Open the window on the workspace and project chosen.

    Raises:
        AppError: there is no display, or the window's libraries are not installed.
    """
    if find_spec("PySide6") is None or find_spec("pyqtgraph") is None:
        install = f"{sys.executable} -m pip install PySide6-Essentials pyqtgraph"
        raise AppError("The window's libraries are not installed.", f"Install them with: {install}\n{_WITHOUT_WINDOW}")
    if not has_display():
        raise AppError("There is no display to open the window on.", _WITHOUT_WINDOW)
    try:
        from rlhf_desktop import app
    except ImportError as problem:
        raise _missing_library(problem) from problem
    if options.device:
        from rlhf_desktop.jobs.device import tell_device

        tell_device(options.device)
    return app.main([sys.argv[0]], options.workspace, options.project, offline=options.offline)


def has_display() -> bool:
    """Whether Qt would find something to draw on. Qt itself ends the process when it doesn't."""
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _missing_library(problem: ImportError) -> AppError:
    """A library of the system that Qt needs: Debian and Ubuntu leave some out of a minimal installation."""
    if ".so" not in str(problem):
        raise problem
    hint = f"On Debian or Ubuntu: sudo apt install libegl1 libgl1 libxkbcommon-x11-0 libxcb-cursor0 libdbus-1-3\n{_WITHOUT_WINDOW}"
    return AppError("A system library that the window needs is missing.", hint, str(problem))


if __name__ == "__main__":
    sys.exit(main())
