"""Undo and redo across sessions, from the events alone: nothing else is remembered.

Every event of a person is an act. Taking back the newest act is an undo, which can be redone until something new is judged;
taking back an older one (from the history) is an act of its own, which can be undone in turn.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from rlhf_desktop.feedback.judgements import Judgement


@dataclass
class Stacks:
    """Events that an undo, and a redo, would take back; the next one last."""

    undo: list[Judgement] = field(default_factory=list)
    redo: list[Judgement] = field(default_factory=list)


def stacks(events: Iterable[Judgement]) -> Stacks:
    """What one person can undo and redo.

    Args:
        events: Their events in one project, oldest first. When the oldest are left out, so are their undos.
    """
    found = Stacks()
    by_id: dict[str, Judgement] = {}
    for event in events:
        by_id[event.id] = event
        target = by_id.get(event.supersedes or "") if event.kind == "withdrawn" else None
        if target and found.undo and found.undo[-1].id == target.id:
            found.undo.pop()
            found.redo.append(event)
        elif target and found.redo and found.redo[-1].id == target.id:
            found.redo.pop()
            found.undo.append(by_id[target.supersedes or ""])
        else:
            found.undo.append(event)
            found.redo.clear()
    return found
