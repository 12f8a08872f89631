"""Feedback files as nobody should write them: documented records with a few things wrong, and bytes that went astray."""

import copy
import json
import random
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data" / "formats"
SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".parquet", "")
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**70, 1.5, float("nan"), float("inf"), "", " ", "x", "\ud83d", "\x00", "x" * 40_000, "ж😀\u202e",
    [], {}, [[]], [None], {"": None}, [{}] * 3, "../../etc/passwd", "\n\nHuman: a\n\nAssistant: b", "tie", "model_a",
    {"role": "user"}, {"role": "user", "content": "x"}, [{"role": "assistant", "content": "x"}], {"text": "a", "rank": 1},
    {"value": "up"},
)  # fmt: skip


@cache
def documented() -> tuple[dict[str, Any], ...]:
    """Every record of the documented files."""
    found: list[dict[str, Any]] = []
    for path in sorted(DATA.glob("*.json*")):
        text = path.read_text(encoding="utf-8")
        found += json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
    return tuple(found)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) inside a value."""
    found: list[tuple[Any, Any]] = []
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    for key in keys:
        found.append((value, key))
        found += places(value[key])
    return found


def wrong_record(chance: random.Random) -> Any:
    """A documented record with one to three places replaced, removed, doubled or swapped."""
    record = copy.deepcopy(chance.choice(documented()))
    for _ in range(chance.randint(1, 3)):
        inside = places(record)
        if not inside:
            break
        holder, key = chance.choice(inside)
        what = chance.randrange(4)
        if what == 0:
            holder[key] = copy.deepcopy(chance.choice(ODD))
        elif what == 1:
            del holder[key]
        elif what == 2:
            other, place = chance.choice(inside)
            if place in (other if isinstance(other, dict) else range(len(other))):
                holder[key] = copy.deepcopy(other[place])
        elif isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        else:
            holder[f"{key}_"] = holder.pop(key)
    return chance.choice(ODD) if chance.random() < 0.02 else record


def wrong_file(chance: random.Random) -> tuple[str, bytes]:
    """A name and the bytes of a file: lines, a list, a table, or noise, with bytes flipped, lost, or the end cut off."""
    records = [wrong_record(chance) for _ in range(chance.randint(0, 6))]
    kind = chance.randrange(4)
    if kind == 0:
        data = "".join(json.dumps(record) + "\n" for record in records).encode()
    elif kind == 1:
        data = json.dumps(records, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, 1])).encode("utf-8", "replace")
    elif kind == 2:
        rows = [[str(value)[:200] for value in (record.values() if isinstance(record, dict) else [record])] for record in records]
        data = "\n".join(",".join(row) for row in [["prompt", "chosen", "rejected"], *rows]).encode("utf-8", "replace")
    else:
        data = chance.randbytes(chance.randint(0, 400))
    spoilt = bytearray(data)
    for _ in range(chance.choice([0, 0, 1, 5])):
        if spoilt:
            place = chance.randrange(len(spoilt))
            spoilt[place : place + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
    if chance.random() < 0.2:
        del spoilt[chance.randint(0, len(spoilt)) :]
    return f"f{chance.choice(SUFFIXES)}", bytes(spoilt)
