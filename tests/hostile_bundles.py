"""Bundles that somebody made to do harm: each from a number, always the same one. A bundle is a good one with something wrong."""

import hashlib
import io
import json
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_desktop.feedback.bundles import MANIFEST, ROWS

FAR = "2099-12-31T23:59:59+00:00"
MARKS = "\u202e\u2066\u200f\x1b]0;owned\x07\r\n\x00"
DEEP = "[" * 5000 + "]" * 5000


@dataclass
class Making:
    """A bundle being made: rows by file, the manifest's fields, and what is done to the archive at the end."""

    chance: random.Random
    rows: dict[str, list[Any]]
    manifest: dict[str, Any]
    others: dict[str, list[str]]  # ids of another project of the workspace it is for, by table
    raw: dict[str, bytes]  # in place of a file's rows

    def one(self, name: str) -> dict[str, Any]:
        """Some row of a file."""
        return self.chance.choice(self.rows[f"{name}.jsonl"])

    def new_id(self) -> str:
        """An id that nothing has."""
        found = f"{self.chance.getrandbits(128):032x}"
        return "-".join((found[:8], found[8:12], found[12:16], found[16:20], found[20:]))

    def copy(self, name: str, **changes: Any) -> dict[str, Any]:
        """Add a row like another one, under an id of its own."""
        made = {**json.loads(json.dumps(self.one(name))), **({"id": self.new_id()} if name != "tags" else {}), **changes}
        self.rows[f"{name}.jsonl"].append(made)
        return made


# --- what rows say ------------------------------------------------------------------------------------------------------------


def erases_others(m: Making) -> None:
    m.rows["tombstones.jsonl"] += [{"id": one} for ids in m.others.values() for one in ids]


def erases_everything_here(m: Making) -> None:
    m.rows["tombstones.jsonl"] += [
        {"id": row["id"]} for name in ("judgements", "messages", "prompts") for row in m.rows[f"{name}.jsonl"]
    ]


def many_tombstones(m: Making) -> None:
    m.rows["tombstones.jsonl"] += [{"id": m.new_id()} for _ in range(1500)]


def writes_into_others(m: Making) -> None:
    kind = m.chance.choice(("reply", "answer", "judge", "replace", "tag", "prompt", "conversation", "guideline", "withdraw"))
    theirs = {name: m.chance.choice(ids) for name, ids in m.others.items()}
    if kind == "reply":
        m.copy("messages", parent_id=theirs["messages"])
    elif kind == "answer":
        m.copy("messages", conversation_id=theirs["conversations"], parent_id=theirs["messages"])
    elif kind == "judge":
        m.copy("judgements", displayed=[theirs["messages"], theirs["messages"]], supersedes=None)
    elif kind in ("replace", "withdraw"):
        made = m.copy("judgements", supersedes=theirs["judgements"])
        if kind == "withdraw":
            made.update(verdict={"kind": "withdrawn"}, also=[])
    elif kind == "tag":
        m.copy("tags", judgement_id=theirs["judgements"], tag="mine now", changed_at=FAR)
    else:
        made = m.copy({"prompt": "prompts", "conversation": "conversations", "guideline": "guidelines"}[kind])
        made["id"] = theirs[f"{kind}s"]


def other_peoples_profiles(m: Making) -> None:
    who = m.chance.choice(("Olga", "Me"))
    m.rows["profiles.jsonl"].append({"name": who, "role": "owned", "credentials": MARKS, "updated_at": FAR})
    m.copy("judgements", who=who, supersedes=None)


def circles(m: Making) -> None:
    first, second = m.copy("messages"), m.copy("messages")
    first["parent_id"], second["parent_id"] = m.chance.choice(((second["id"], first["id"]), (first["id"], second["id"])))


def strays(m: Making) -> None:
    m.copy("messages", **m.chance.choice(({"parent_id": m.new_id()}, {"conversation_id": m.new_id()}, {"generator_id": "0" * 64})))


def revision_loops(m: Making) -> None:
    first, second = m.copy("judgements"), m.copy("judgements")
    first["supersedes"], second["supersedes"] = second["id"], m.chance.choice((first["id"], second["id"]))


def long_chains(m: Making) -> None:
    """A conversation that goes on and on, or a judgement revised again and again."""
    kind, last = m.chance.choice(("messages", "judgements")), None
    first = m.one(kind)
    last = first["id"]
    for number in range(800):
        more = {"parent_id": last, "role": ("user", "assistant")[number % 2]} if kind == "messages" else {"supersedes": last}
        last = m.copy(kind, **({"conversation_id": first["conversation_id"]} if kind == "messages" else {}), **more)["id"]
        if kind == "judgements":
            m.rows["judgements.jsonl"][-1]["displayed"] = first["displayed"]


def duplicate_rows(m: Making) -> None:
    name = m.chance.choice([name for name, rows in m.rows.items() if rows])
    row = m.chance.choice(m.rows[name])
    m.rows[name].append(
        row if m.chance.random() < 0.5 else {**row, **{key: "other" for key in ("content", "text", "title") if key in row}}
    )


def another_text_under_a_known_id(m: Making) -> None:
    name, field = m.chance.choice(
        (("messages", "content"), ("guidelines", "text"), ("judgements", "who"), ("conversations", "title"))
    )
    m.one(name)[field] = "not what you know"


def odd_verdicts(m: Making) -> None:
    verdict = m.chance.choice((
        {"kind": "ranking", "ranks": [1] * 60}, {"kind": "ranking", "ranks": []}, {"kind": "ranking", "ranks": [1, 10**9]},
        {"kind": "ranking", "ranks": "12"}, {"kind": "nonsense"}, {}, {"kind": None}, {"kind": "thumbs", "up": "maybe"},
        {"kind": "spans", "spans": [{"index": 5, "start": -3, "end": 10**8, "tag": "x"}]}, {"kind": "spans", "spans": []},
        {"kind": "ratings", "ratings": [{"name": MARKS, "points": 5, "scores": [99, None]}]},
        {"kind": "correction", "text": "x" * 10**6, "index": 9}, {"kind": "ranking", "ranks": [1, 2], "margin": 10**9},
        {"kind": "labels", "labels": [{"name": "x" * 5000, "values": [[["y"], []]]}]}, {"kind": "withdrawn"},
        {"kind": "demonstration"},
    ))  # fmt: skip
    m.copy("judgements", verdict=verdict, also=[verdict] * m.chance.choice((0, 1, 200)))


def odd_displays(m: Making) -> None:
    row = m.copy("judgements")
    shown = row["displayed"]
    question = next((x for x in m.rows["messages.jsonl"] if x["id"] == shown[0]), {}).get("parent_id")
    row["displayed"] = m.chance.choice(([], shown * 30, [shown[0], shown[0]], [question or m.new_id()], [m.new_id(), m.new_id()]))


def extreme_numbers(m: Making) -> None:
    """The largest that are let in: whatever is counted on from them must still fit."""
    top = 2**31 - 1
    m.copy("messages", position=top, tokens=top, thought_tokens=top, seed=2**63 - 1)
    m.copy("prompts", position=top)
    m.copy("guidelines", version=top)
    m.copy("judgements", guideline_version=top, seconds_spent=10**9, supersedes=None)


def far_dates(m: Making) -> None:
    when = m.chance.choice((FAR, "1970-01-01T00:00:00Z", "9999-12-31T00:00:00Z", "2026-99-99T00:00:00Z", "0000-00-00T00:00:00Z"))
    for name, rows in m.rows.items():
        for row in rows if m.chance.random() < 0.7 else ():
            row.update({key: when for key in ("created_at", "updated_at", "changed_at") if key in row})
            if name == "judgements.jsonl":
                row["id"] = m.new_id()


def odd_names(m: Making) -> None:
    name = m.chance.choice(
        (MARKS, "x" * 300, "x" * 501, "", " ", "\u202eabc", "<img src=x onerror=alert(1)>", "../../../etc/passwd", "𝕏" * 250)
    )
    m.manifest["project"] = m.chance.choice((name, m.manifest["project"]))
    m.copy("conversations", title=name)
    m.copy("judgements", who=name, critique=name, source=name, supersedes=None)
    m.copy("prompts", set=name or "x", tags=[name[:60] or "x"])
    m.copy("guidelines", who=name)
    m.copy("tags", tag=name[:60] or "x")
    m.rows["profiles.jsonl"].append({"name": name[:300] or "x", "role": name, "credentials": name, "updated_at": FAR})


def huge_texts(m: Making) -> None:
    text = m.chance.choice(("x", "[](", "<table><tr>", "\u202e", "\n" * 3, "👩‍👩‍👧‍👧", "`" * 7)) * m.chance.choice(
        (10**5, 3 * 10**5, 10**6)
    )
    m.copy("messages", content=text[: m.chance.choice((10**6, 10**6 + 1))])
    m.copy("judgements", critique=text[: 10**6], supersedes=None)
    m.copy("guidelines", text=text[: 10**6])


def odd_prompts(m: Making) -> None:
    messages = m.chance.choice((
        [], [{}], [{"role": "user"}], [{"role": "root", "content": "x"}], [{"role": "user", "content": None}], "x", None,
        [{"role": "assistant", "content": ""}], [{"role": "user", "content": "x", "more": 1}],
        [{"role": "user", "content": ""}] * 1000,
        [{"role": "user", "content": ["x"]}], [{"role": "system", "content": MARKS}],
    ))  # fmt: skip
    m.copy("prompts", messages=messages)


def many_sets(m: Making) -> None:
    for number in range(120):
        m.copy("prompts", set=f"set {number}", position=number)
        m.copy("tags", tag=f"tag {number}")


def takes_the_split(m: Making) -> None:
    m.manifest["heldout_share"] = m.chance.choice((1.0, 0.9, 0.95, 1, -1, 2, 10**30, "0.5", None))
    hashes = m.others["hashes"] + [f"{n:064x}" for n in range(20)]
    m.rows["split.jsonl"] += [{"prompt_hash": one, "split": m.chance.choice(("heldout", "train", "both"))} for one in hashes]


def foreign_fields(m: Making) -> None:
    name = m.chance.choice([name for name, rows in m.rows.items() if rows])
    m.chance.choice(m.rows[name]).update(
        m.chance.choice(({"project_id": "other"}, {"settings": {"who": "x"}}, {"rowid": 1}, {"__proto__": 1}))
    )


NASTY: tuple[Any, ...] = (
    None, "", " ", 0, -1, 10**30, 2**63, 1e308, float("nan"), float("inf"), True, [], {}, [[]], {"a": {"b": [None]}}, "x" * 10**5,
    "\x00", MARKS, "\ud800", "../../x", FAR, "2026-99-99T00:00:00Z", "00000000-0000-0000-0000-000000000000", "0" * 64, ["x"] * 1000,
)  # fmt: skip


def one_odd_value(m: Making) -> None:
    """Any field of any row is something else."""
    name = m.chance.choice([name for name, rows in m.rows.items() if rows])
    for _ in range(m.chance.choice((1, 1, 3))):
        row = m.chance.choice(m.rows[name])
        field = m.chance.choice(sorted(row))
        value = m.chance.choice((*NASTY, *(m.chance.choice(ids) for ids in m.others.values())))
        if isinstance(row[field], dict) and row[field] and m.chance.random() < 0.5:
            row[field] = {**row[field], m.chance.choice(sorted(row[field])): value}
        elif isinstance(row[field], list) and row[field] and m.chance.random() < 0.5:
            row[field] = [*row[field][1:], value]
        else:
            row[field] = value


# --- what the files and the archive are -----------------------------------------------------------------------------------------


def odd_manifest(m: Making) -> None:
    field = m.chance.choice((*m.manifest, "files", "audit", "new"))
    m.manifest[field] = m.chance.choice((*NASTY, 99, {"judgements.jsonl": {"sha256": "0" * 64, "rows": 1, "bytes": 1}}))


def deep_json(m: Making) -> None:
    name = m.chance.choice((MANIFEST, *ROWS))
    m.raw[name] = m.chance.choice((DEEP, '{"a":' * 5000 + "1" + "}" * 5000, f'{{"id": {DEEP}}}\n')).encode()


def odd_bytes(m: Making) -> None:
    name = m.chance.choice((MANIFEST, *ROWS))
    m.raw[name] = m.chance.choice((
        b"", b"\x00", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}\n", b"{" * 100, b"null\n", b"[]\n", b'"x"\n', b"NaN\n",
        b"{}\n" * 1000,
        b"x" * (17 * 2**20), b'{"id": "\\ud800"}\n', b"1" * 10_000,
    ))  # fmt: skip


ROW_KINDS: tuple[Callable[[Making], None], ...] = (
    erases_others, writes_into_others, erases_everything_here, many_tombstones, other_peoples_profiles, circles, strays,
    revision_loops, long_chains, duplicate_rows, another_text_under_a_known_id, odd_verdicts, odd_displays, extreme_numbers,
    far_dates, odd_names, huge_texts, odd_prompts, many_sets, takes_the_split, foreign_fields, one_odd_value, odd_manifest,
    deep_json, odd_bytes,
)  # fmt: skip


def _bomb(data: bytes, chance: random.Random) -> bytes:
    return _with_entry(data, chance.choice(tuple(ROWS)), b"\n" * (20 * 2**20), replace=True)


def _extra(data: bytes, chance: random.Random) -> bytes:
    names = (
        "../../evil",
        "/etc/passwd",
        "C:\\evil",
        "settings.jsonl",
        MARKS.replace("\x00", ""),
        "a/",
        "x" * 60_000,
        "messages.jsonl",
    )
    return _with_entry(data, chance.choice(names), b"{}")


def _with_entry(data: bytes, name: str, content: bytes, *, replace: bool = False) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in old.infolist():
            if not (replace and entry.filename == name):
                archive.writestr(entry, old.read(entry), zipfile.ZIP_DEFLATED)
        if not replace and name in old.namelist():
            archive.fp.write(b"")  # type: ignore[union-attr]
        entry = zipfile.ZipInfo(name)
        entry.external_attr = 0o120777 << 16 if name == "a/" else 0
        archive.filelist.append(entry) if name == "messages.jsonl" and not replace else archive.writestr(
            entry, content, zipfile.ZIP_DEFLATED
        )
    return out.getvalue()


def _torn(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def _flipped(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 5, 50))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _no_archive(_data: bytes, chance: random.Random) -> bytes:
    return chance.choice((b"", b"PK", b"PK\x05\x06" + b"\x00" * 18, chance.randbytes(5000), b"SQLite format 3\x00" + b"\x00" * 100))


ARCHIVE_KINDS: tuple[Callable[[bytes, random.Random], bytes], ...] = (_bomb, _extra, _torn, _flipped, _no_archive)
KINDS = len(ROW_KINDS) + len(ARCHIVE_KINDS)


def make(number: int, good: Path, others: dict[str, list[str]], target: Path) -> str:
    """Write the bundle of this number, and return what kind it is.

    Args:
        number: Which; each kind comes again after `KINDS`, with other chances.
        good: A bundle with nothing wrong.
        others: Ids of another project of the workspace it is for.
        target: Where to.
    """
    chance = random.Random(number)
    making = _read(good, chance, others)
    kind = number % KINDS
    if kind < len(ROW_KINDS):
        ROW_KINDS[kind](making)
        if chance.random() < 0.3:
            chance.choice(ROW_KINDS)(making)
        target.write_bytes(_packed(making))
        return ROW_KINDS[kind].__name__
    spoil = ARCHIVE_KINDS[kind - len(ROW_KINDS)]
    target.write_bytes(spoil(_packed(making), chance))
    return spoil.__name__


def _read(good: Path, chance: random.Random, others: dict[str, list[str]]) -> Making:
    with zipfile.ZipFile(good) as archive:
        rows = {name: [json.loads(line) for line in archive.read(name).splitlines()] for name in ROWS}
        manifest = json.loads(archive.read(MANIFEST))
    return Making(chance, rows, {key: value for key, value in manifest.items() if key != "files"}, others, {})


def _packed(m: Making) -> bytes:
    files = {
        name: m.raw.get(name, b"".join(json.dumps(row).encode("utf-8", "surrogatepass") + b"\n" for row in rows))
        for name, rows in m.rows.items()
    }
    notes = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "rows": data.count(b"\n"), "bytes": len(data)}
        for name, data in files.items()
    }
    manifest = m.raw.get(MANIFEST, json.dumps({"files": notes, **m.manifest}).encode("utf-8", "surrogatepass"))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in {**files, MANIFEST: manifest}.items():
            archive.writestr(name, data)
    return out.getvalue()
