"""Numbers with their nouns, the same in the window, on the command line and in reports."""

_UNITS = ("B", "kB", "MB", "GB", "TB")


def count(n: int, one: str, many: str | None = None) -> str:
    """A number and its noun: "1 ranking", "1,240 rankings"."""
    return f"{n:,} {noun(n, one, many)}"


def noun(n: int, one: str, many: str | None = None) -> str:
    """The noun alone, where the number stands elsewhere."""
    return one if n == 1 else many or one + "s"


def roughly(n: int) -> int:
    """A foreseen number at the precision it has, never less: 7 → 7, 23 → 25, 61 → 70, 1,234 → 1,300."""
    step = 1 if n <= 10 else 5 if n <= 50 else 10 ** max(1, len(str(n)) - 2)
    return -(-n // step) * step


def size(n_bytes: float) -> str:
    """Decimal bytes with two meaningful digits: "98 MB", "1.9 GB"."""
    value, unit = float(n_bytes), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit >= 2 and value < 9.95 else f"{value:.0f} {_UNITS[unit]}"
