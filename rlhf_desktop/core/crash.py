"""What a bug leaves behind: where in the program it happened, and no word of the user's.

Messages of exceptions may hold what somebody wrote (a `KeyError` is its key) or a token; a report may be sent to somebody. So the
report has the places and the kinds of the exceptions, and the messages only of kinds that speak about the program itself.
"""

import os
import sys
import traceback
from types import TracebackType

_ABOUT_CODE = (AttributeError, ImportError, NameError, RuntimeError, ArithmeticError, MemoryError)


def bug_report(problem: BaseException) -> str:
    """The traceback of an exception and of those behind it, the first cause first, without private messages."""
    parts: list[str] = []
    at: BaseException | None = problem
    while at is not None and len(parts) < 20:
        parts.append("".join([*traceback.format_tb(at.__traceback__), f"{_name(at)}: {_said(at)}\n"]))
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    return "\nwhich led to\n\n".join(reversed(parts))


def print_report(_kind: type[BaseException], problem: BaseException, _trace: TracebackType | None) -> None:
    """A `sys.excepthook`: the report instead of Python's own traceback."""
    print(bug_report(problem), file=sys.stderr)


def _name(problem: BaseException) -> str:
    kind = type(problem)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _said(problem: BaseException) -> str:
    if isinstance(problem, OSError) and problem.errno is not None:
        return os.strerror(problem.errno)
    said = str(problem)
    if isinstance(problem, _ABOUT_CODE) or not said:
        return said[:500]
    return f"(a message of {len(said)} characters, left out: it may hold what you wrote)"
