"""How a worker job that answers once does so: one JSON object, the result or {"error": …}."""

import json
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

from rlhf_desktop.core.errors import AppError, NoSpace
from rlhf_desktop.inference.device import is_out_of_memory


def answer(out: BinaryIO, work: Callable[[], dict[str, Any]]) -> int:
    """Write what `work` returns, or the trouble it met. Returns the exit code."""
    try:
        found, code = work(), 0
    except Exception as problem:  # reported to the caller, who has no other way to know
        found, code = {"error": _described(problem)}, 1
    out.write(json.dumps(found).encode() + b"\n")
    return code


def _described(problem: Exception) -> dict[str, str]:
    if is_out_of_memory(problem):
        problem = NoSpace(
            "There is not enough memory for this model.", "Close other programs, or choose a smaller model.", str(problem)
        )
    if isinstance(problem, AppError):
        return {"message": problem.message, "hint": problem.hint, "detail": problem.detail}
    return {"message": "The model could not be measured.", "hint": "", "detail": traceback.format_exc()}
