"""Times, sizes and counts as the window says them. One place, so that no two rooms say them differently. Qt-free."""

import time
from collections.abc import Sequence
from datetime import datetime

from rlhf_desktop.core.words import count as count  # said here as everywhere
from rlhf_desktop.core.words import size as size


def duration(seconds: float) -> str:
    """A length of time at the precision one plans with: "40 s", "3 min", "1 h 20 min"."""
    if seconds < 60:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def parameters(count: float) -> str:
    """A model's size as people say it: "134 million parameters", "1.5 billion parameters"."""
    if count < 1e6:
        return f"{count:,.0f} parameters"
    return f"{count / 1e9:.1f} billion parameters" if count >= 1e9 else f"{count / 1e6:,.0f} million parameters"


def ago(then: float, now: float | None = None) -> str:
    """How long ago a moment (seconds since the epoch) was: "just now", "5 min ago", "yesterday", or its date."""
    now = time.time() if now is None else now
    gone = max(0.0, now - then)
    if gone < 45:
        return "just now"
    if gone < 12 * 3600:
        return f"{duration(gone)} ago"
    moment, today = datetime.fromtimestamp(then), datetime.fromtimestamp(now)
    days = (today.date() - moment.date()).days
    if days == 0:
        return "today"
    return "yesterday" if days == 1 else f"{moment.day} {moment:%B %Y}"


def moment(then: float, now: float | None = None) -> str:
    """A moment in a table: "14:05" today, "19 Nov 14:05" this year, "19 Nov 2024" before."""
    when, today = datetime.fromtimestamp(then), datetime.fromtimestamp(time.time() if now is None else now)
    if when.date() == today.date():
        return f"{when:%H:%M}"
    return f"{when.day} {when:%b %H:%M}" if when.year == today.year else f"{when.day} {when:%b %Y}"


def day(date: str) -> str:
    """A date as a plot has room for: "2026-11-07" is "7 Nov"."""
    when = datetime.fromisoformat(date)
    return f"{when.day} {when:%b}"


def shortened(text: str, limit: int = 80) -> str:
    """The text on one line, cut at a word with an ellipsis when it is longer than `limit` characters."""
    flat = " ".join(text[: limit * 8].split())
    if len(flat) <= limit:
        return flat
    cut = flat[: limit - 1]
    return (cut[: cut.rfind(" ")] if " " in cut[limit // 2 :] else cut).rstrip(" ,.;:") + "…"


def place(rank: int, ranks: Sequence[int]) -> str:
    """A place among the places given: "2nd", or "=2nd" where another answer has the same, as on the answers' cards."""
    return f"{'=' if ranks.count(rank) > 1 else ''}{ordinal(rank)}"


def ordinal(n: int) -> str:
    """A place in a ranking: "1st", "2nd", "3rd", "4th", "11th"."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
