"""`worker convert SOURCE TARGET`: a GGUF file into a folder.

Prints JSON objects, one a line: any number of `{"step": {"words", "done", "until"}}`, then the facts or a trouble.
"""

import json
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from rlhf_desktop.core.errors import AppError, NoSpace
from rlhf_desktop.core.files import is_disk_full
from rlhf_desktop.core.progress import Step
from rlhf_desktop.inference.convert import convert_gguf
from rlhf_desktop.inference.device import is_out_of_memory


def main(argv: Sequence[str], out: BinaryIO) -> int:
    """Convert; 0 and the facts, or 1 and `{"error": {"kind", "message", "hint", "detail"}}`."""
    source, target = (Path(argument) for argument in argv)

    def tell(step: Step) -> None:
        said = {"step": {"words": str(step), "done": step.done, "until": step.until}}
        out.write(json.dumps(said).encode() + b"\n")
        out.flush()

    try:
        answer: dict[str, Any] = convert_gguf(source, target, tell)
        code = 0
    except Exception as problem:  # one reply whatever happens: the caller has no other way to know
        answer, code = {"error": describe(problem, "convert")}, 1
    out.write(json.dumps(answer).encode() + b"\n")
    return code


def describe(problem: Exception, doing: str) -> dict[str, str]:
    """A problem as its caller reads it; `doing` is "convert" or "export"."""
    full = is_disk_full(problem)
    if full or is_out_of_memory(problem):
        what = "disk" if full else "memory"
        problem = NoSpace(f"There is not enough {what} to {doing} the model.", "Nothing was kept: free some space and try again.")
    if isinstance(problem, AppError):
        kind = type(problem).__name__
        return {"kind": kind, "message": problem.message, "hint": problem.hint, "detail": problem.detail}
    return {"kind": "", "message": f"The model could not be {doing}ed.", "hint": "", "detail": traceback.format_exc()}
