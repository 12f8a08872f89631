"""Numbers as people type and write them: half of the world puts a comma before the decimals."""

import re

_DECIMAL_COMMA = re.compile(r"([+-]?\d*),(\d+(?:[eE][+-]?\d+)?)")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


def with_point(text: str) -> str:
    """A number with a decimal point: "0,7" becomes "0.7". What may be thousands ("1,000") or is no number stays as it is."""
    bare = text.strip()
    found = _DECIMAL_COMMA.fullmatch(bare)
    if found is None or _THOUSANDS.fullmatch(bare):
        return text
    return f"{found[1]}.{found[2]}"
