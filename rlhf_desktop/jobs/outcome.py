"""How a training process ended, from its exit code or signal and its last words: one small decision, made in one place."""

from dataclasses import dataclass

from rlhf_desktop.core.runs import DISK_FULL, DISK_FULL_EXIT, Failed, Finished, RunEvent, RunState

_RESUME = "Press Resume to go on from the last checkpoint."


@dataclass(frozen=True)
class Outcome:
    """A run's final state and why, in one plain sentence with a remedy."""

    state: RunState
    message: str = ""
    hint: str = ""


def decide(exit_code: int | None, signal: str | None, words: list[RunEvent], *, asked: str | None = None) -> Outcome:
    """The outcome of a worker that has ended.

    Args:
        exit_code: Its exit code; None when a signal ended it or nobody was there to see.
        signal: The name of the signal that ended it, if one did.
        words: The events it wrote since it was started.
        asked: The user's last wish; a process killed after "stop" or "pause" was hardly the memory's victim.
    """
    for event in reversed(words):
        if isinstance(event, Finished):
            return _finished(event)
        if isinstance(event, Failed):
            return Outcome("failed", event.message, event.hint)
    if exit_code == DISK_FULL_EXIT:
        return Outcome("failed", *DISK_FULL)
    if signal is not None:
        return _killed(signal, asked)
    if exit_code is not None:
        said = f"The training process ended unexpectedly (exit code {exit_code})."
        return Outcome("interrupted", said, f"{_RESUME} The log says more.")
    return Outcome("interrupted", "The training process was ended, perhaps because the computer was shut down.", _RESUME)


def _finished(event: Finished) -> Outcome:
    messages = {
        "done": "The run is complete.",
        "stopped": "Stopped as you asked. What was learnt so far is kept and can be used.",
        "paused": "Paused as you asked.",
        "cancelled": "Cancelled as you asked. Nothing of it was kept; your feedback is as it was.",
    }
    return Outcome(event.outcome, messages[event.outcome], _RESUME if event.outcome == "paused" else "")


def _killed(signal: str, asked: str | None) -> Outcome:
    said = f"The training process was killed (signal {signal})"
    if signal == "SIGKILL" and asked not in ("pause", "stop", "cancel"):
        cause = f"{said}, perhaps by the system because memory ran out."
        return Outcome("interrupted", cause, f"{_RESUME} Closing other programs first frees memory.")
    return Outcome("interrupted", f"{said}.", _RESUME)
