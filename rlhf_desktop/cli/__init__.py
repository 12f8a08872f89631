"""The command line: `rlhf-desktop COMMAND`. Each command reads its options, calls operations, and says what came of it."""

from rlhf_desktop.cli.main import root, run

__all__ = ["root", "run"]
