"""Feedback files and bundles as nobody should write them: records with a few things wrong, and bytes that went astray."""

import copy
import hashlib
import io
import json
import random
import re
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

from rlhf_desktop.feedback.bundles import MANIFEST
from rlhf_desktop.feedback.formats.parquet import installed, write_parquet

DATA = Path(__file__).parent / "data" / "formats"
SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".parquet", "")
_UUID = re.compile(r"\b[0-9a-f]{8}(?=-[0-9a-f]{4}-)[0-9a-f-]{28}")
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**70, 1.5, float("nan"), float("inf"), "", " ", "x", "\ud83d", "\x00", "x" * 40_000, "ж😀\u202e",
    [], {}, [[]], [None], {"": None}, [{}] * 3, "../../etc/passwd", "\n\nHuman: a\n\nAssistant: b", "tie", "model_a",
    {"role": "user"}, {"role": "user", "content": "x"}, [{"role": "assistant", "content": "x"}], {"text": "a", "rank": 1},
    {"value": "up"},
)  # fmt: skip


@cache
def documented() -> tuple[dict[str, Any], ...]:
    """Every record of the documented files."""
    return tuple(record for _name, records in _real() for record in records)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) inside a value."""
    found: list[tuple[Any, Any]] = []
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    for key in keys:
        found.append((value, key))
        found += places(value[key])
    return found


def wrong_record(chance: random.Random) -> Any:
    """A documented record with one to three places spoilt."""
    record = spoil(copy.deepcopy(chance.choice(documented())), chance)
    return chance.choice(ODD) if chance.random() < 0.02 else record


def spoil(record: Any, chance: random.Random) -> Any:
    """The record itself, with one to three places in it replaced, removed, doubled or swapped."""
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
    return record


def wrong_file(chance: random.Random) -> tuple[str, bytes]:
    """A name and the bytes of a file: lines, a list, a table, Parquet or noise, with bytes flipped, lost, or the end cut off."""
    records = [wrong_record(chance) for _ in range(chance.randint(0, 6))]
    kind = chance.randrange(5 if installed() else 4)
    if kind == 4:
        data = parquet_of(records)
    elif kind == 0:
        data = "".join(json.dumps(record) + "\n" for record in records).encode()
    elif kind == 1:
        data = json.dumps(records, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, 1])).encode("utf-8", "replace")
    elif kind == 2:
        rows = [[str(value)[:200] for value in (record.values() if isinstance(record, dict) else [record])] for record in records]
        data = "\n".join(",".join(row) for row in [["prompt", "chosen", "rejected"], *rows]).encode("utf-8", "replace")
    else:
        data = chance.randbytes(chance.randint(0, 400))
    suffix = ".parquet" if kind == 4 and chance.random() < 0.8 else chance.choice(SUFFIXES)
    return f"f{suffix}", astray(data, chance)


@cache
def _real() -> tuple[tuple[str, tuple[dict[str, Any], ...]], ...]:
    """The documented files with their records."""
    return tuple((path.name, tuple(_records(path))) for path in sorted(DATA.glob("*.json*")))


def _records(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]


def real_shaped_file(chance: random.Random) -> tuple[str, bytes]:
    """A name and the bytes of a documented file with one record spoilt, doubled or mixed with another file's; sound as a file."""
    name, records = chance.choice(_real())
    mixed = copy.deepcopy(list(records)) + (
        [copy.deepcopy(chance.choice(chance.choice(_real())[1]))] if chance.random() < 0.2 else []
    )
    chance.shuffle(mixed)
    place = chance.randrange(len(mixed))
    mixed[place] = spoil(mixed[place], chance)
    if chance.random() < 0.3:
        mixed.append(copy.deepcopy(chance.choice(mixed)))
    if name.endswith(".jsonl"):
        return name, "".join(json.dumps(record) + "\n" for record in mixed).encode()
    return name, json.dumps(mixed, indent=chance.choice([None, 1])).encode()


def parquet_of(records: list[Any]) -> bytes:
    """Those of the records that Parquet can hold, or noise that says it is Parquet."""
    out = io.BytesIO()
    try:
        write_parquet(out, [record for record in records if isinstance(record, dict)])
    except (ValueError, OverflowError):  # a text that is no Unicode
        return b"PAR1 noise PAR1"
    return out.getvalue()


def astray(data: bytes, chance: random.Random) -> bytes:
    """The bytes with some of them changed, or the end cut off; often as they were."""
    spoilt = bytearray(data)
    for _ in range(chance.choice([0, 0, 1, 5])):
        if spoilt:
            place = chance.randrange(len(spoilt))
            spoilt[place : place + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
    if chance.random() < 0.2:
        del spoilt[chance.randint(0, len(spoilt)) :]
    return bytes(spoilt)


def wrong_bundle(chance: random.Random, good: bytes, number: int) -> bytes:
    """A bundle with rows, manifest, names or bytes spoilt, its hashes mostly right. Its ids are those of no other number."""
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        files = {entry.filename: archive.read(entry).decode() for entry in archive.infolist()}
    manifest = json.loads(files.pop(MANIFEST))
    files = {name: _UUID.sub(lambda found: f"{number:08x}{found.group()[8:]}", text) for name, text in files.items()}
    kind = chance.randrange(10)
    for name in chance.sample(sorted(files), chance.choice([1, 2])):
        if kind < 3:
            files[name] = spoilt_lines(files[name], chance)
        elif kind < 6:
            files[name] = crossed(files[name], "".join(files.values()), chance)
    manifest["files"] = {name: _note(text) for name, text in files.items()}
    if kind == 6:
        spoil(manifest, chance)
    elif kind == 7:
        files[chance.choice(["../../evil", "/tmp/evil", "judgements.jsonl/", "CON", "a\0b", "ж" * 300])] = "x"
    elif kind == 8:
        del files[chance.choice(sorted(files))]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {**files, MANIFEST: json.dumps(manifest)}.items():
            archive.writestr(name, text.encode("utf-8", "surrogatepass"))
    return astray(out.getvalue(), chance) if kind == 9 else out.getvalue()


def crossed(text: str, whole: str, chance: random.Random) -> str:
    """Some ids of a file exchanged for others of the bundle: well formed, and wrong."""
    ids = sorted(set(_UUID.findall(whole)))
    return _UUID.sub(lambda found: chance.choice(ids) if chance.random() < 0.3 else found.group(), text) if ids else text


def spoilt_lines(text: str, chance: random.Random) -> str:
    """JSON lines with one of the rows spoilt, or a row of something else."""
    lines = text.splitlines()
    if not lines:
        return json.dumps(chance.choice(ODD)) + "\n"
    place = chance.randrange(len(lines))
    lines[place] = json.dumps(spoil(json.loads(lines[place]), chance))
    return "".join(line + "\n" for line in lines)


def _note(text: str) -> dict[str, Any]:
    data = text.encode("utf-8", "surrogatepass")
    return {"sha256": hashlib.sha256(data).hexdigest(), "rows": text.count("\n"), "bytes": len(data)}
