"""The audit log: who did what and when, as a chain of hashes that is only ever added to.

Each entry's hash is the SHA-256 of the canonical JSON of all else in it, the hash of the entry before included. So no entry can be
changed, left out or put in between without every later hash changing too; and a head (the last entry's number and hash) that has
left the workspace in an export pins all that came before it. The database refuses to change or delete an entry; whoever writes to
the file itself can still make up a whole new chain, and only a head kept elsewhere shows that.

Entries hold ids, counts, kinds and hashes, never a text of the user's, so an erase has nothing to do here. Of a person there is a
code: the beginning of the SHA-256 of a salt of their own and their name, which stand in a table beside the log. Erasing the last
that a person has said erases that row (`erasing.bury`): entries and hashes stay, and nobody can tell from them who it was.
"""

import getpass
import hashlib
import json
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import rlhf_desktop
from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.files import canonical_json, sha256_text
from rlhf_desktop.feedback.conversations import utc_now
from rlhf_desktop.store.driver import Connection, Row, understood

ACTS = (
    "judged", "imported", "exported", "merged", "merge undone", "erased", "restored", "trained", "adopted", "published",
    "project created", "project renamed", "project archived", "project unarchived", "project deleted", "project restored",
    "project erased", "passphrase created", "passphrase changed", "passphrase removed",
)  # fmt: skip
NOTHING_BEFORE = "0" * 64  # what stands for the hash before the first entry
_CODE_CHARS = 32
_HEAD = re.compile(r"(?<![0-9a-zA-Z])([0-9a-f]{64})(?::(\d{1,15}))?(?![0-9a-zA-Z]|:\d)")
_COLUMNS = "seq, at, act, who, project, facts, program, previous, hash"


class Event(Protocol):
    """What the log notes of a judgement."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def kind(self) -> str:
        """The form of what was said."""

    @property
    def who(self) -> str:
        """The judge."""

    @property
    def project_id(self) -> str:
        """Of which project."""


@dataclass(frozen=True)
class Head:
    """The last entry of a chain: its number and hash. 0: there was none yet. `seq` None: only the hash is known."""

    seq: int | None
    hash: str

    def __str__(self) -> str:
        return self.hash if self.seq is None else f"{self.hash}:{self.seq}"

    @classmethod
    def read(cls, text: str) -> "Head":
        """A head as exports name it: HASH:NUMBER, or HASH.

        Raises:
            BadInput: it is not one.
        """
        found = _HEAD.fullmatch(text.strip().lower())
        if found is None:
            raise BadInput(f"“{text[:100]}” is not the head of an audit log.", "Give it as HASH or HASH:NUMBER.")
        return cls(int(found[2]) if found[2] else None, found[1])


@dataclass(frozen=True)
class Entry:
    """One entry. `who` is a code, `project` an id; "" where there is none."""

    seq: int
    at: str
    act: str
    who: str
    project: str
    facts: Mapping[str, Any]
    program: str
    previous: str
    hash: str

    @property
    def computed(self) -> str:
        """The hash that this entry has to have."""
        return sha256_text(canonical_json({name: value for name, value in vars(self).items() if name != "hash"}))


@dataclass
class Together:
    """What was judged in one act, as one entry says it; `facts` is added to. With `nothing` there is no entry."""

    facts: dict[str, Any] = field(default_factory=dict)
    nothing: bool = False
    count: int = 0
    first: str = ""
    last: str = ""
    kinds: Counter[str] = field(default_factory=Counter)
    people: set[str] = field(default_factory=set)
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, events: Sequence[Event]) -> None:
        """Count these in."""
        self.first = self.first or events[0].id
        self.last = events[-1].id
        self.count += len(events)
        for event in events:
            self.kinds[event.kind] += 1
            self.people.add(event.who)
            self.digest.update(f"{event.id}\n".encode())

    @property
    def said(self) -> dict[str, Any]:
        """The facts of the entry. `ids` is the SHA-256 of all ids in their order, each with a line end."""
        if not self.count:
            return self.facts
        ids = {"first": self.first, "last": self.last, "ids": self.digest.hexdigest()}
        return {**self.facts, "judgements": self.count, "kinds": dict(self.kinds), "annotators": len(self.people), **ids}


@dataclass(frozen=True)
class Verified:
    """What a look at the whole chain found.

    Attributes:
        entries: How many there are.
        head: The last one; None: there are none.
        broken_at: The number of the first entry that does not fit; None: all fit.
        problem: What is wrong, in a sentence; "" when nothing is.
    """

    entries: int
    head: Head | None
    broken_at: int | None = None
    problem: str = ""


class AuditLog:
    """Adds to the log and reads it. What is noted belongs to the transaction it is noted in."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._together: Together | None = None  # only ever set and read inside the transaction of the thread that set it

    # --- adding -------------------------------------------------------------------------------------------------------------------

    def note(self, act: str, *, project: str = "", who: str = "", **facts: Any) -> Head:
        """Add an entry.

        Args:
            act: What was done: one of `ACTS`.
            project: Id of the project, if it was done in one.
            who: The person's name; "" for who uses this workspace.
            facts: Ids, counts, kinds and hashes. Never a text of the user's.
        """
        assert act in ACTS, act
        with self._db.transaction():
            last = self._db.raw.execute("SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1").fetchone()
            seq, previous = (last[0] + 1, last[1]) if last else (1, NOTHING_BEFORE)
            code = self._code(who or self.person())
            entry = Entry(seq, utc_now(), act, code, project, facts, rlhf_desktop.__version__, previous, "")
            hashed = entry.computed
            values = {**vars(entry), "facts": canonical_json(facts), "hash": hashed}
            marks = ", ".join(f":{name.strip()}" for name in _COLUMNS.split(","))
            self._db.raw.execute(f"INSERT INTO audit_log ({_COLUMNS}) VALUES ({marks})", values)
        return Head(seq, hashed)

    def judged(self, events: Sequence[Event]) -> None:
        """Note that these were judged: an entry of its own, or part of the entry of what is done `together`."""
        if self._together is not None:
            self._together.add(events)
            return
        people, first = {event.who for event in events}, events[0]
        if len(events) == 1:
            facts: dict[str, Any] = {"id": first.id, "kind": first.kind}
        else:
            together = Together()
            together.add(events)
            facts = together.said
        self.note("judged", project=first.project_id, who=first.who if len(people) == 1 else "", **facts)

    @contextmanager
    def together(self, act: str, *, project: str = "") -> Iterator[Together]:
        """All that is judged inside is one entry, in one transaction. Inside another one it is part of that."""
        with self._db.transaction():
            if self._together is not None:
                yield self._together
                return
            self._together = Together()
            try:
                yield (noted := self._together)
            finally:
                self._together = None
            if not noted.nothing:
                self.note(act, project=project, **noted.said)

    def person(self) -> str:
        """Who uses this workspace: the name given in Settings, else this computer's name for the user."""
        row = self._db.row("SELECT value FROM settings WHERE scope = '' AND key = 'who'")
        name = str(json.loads(row["value"])) if row else ""
        try:
            return name or getpass.getuser()
        except (OSError, KeyError, ImportError):  # an account without a name
            return ""

    def _code(self, name: str) -> str:
        """What stands for this person in the log."""
        if not name:
            return ""
        known = self._db.raw.execute("SELECT code FROM audit_people WHERE name = ?", (name,)).fetchone()
        if known:
            return str(known[0])
        salt = secrets.token_hex(16)
        code = _coded(salt, name)
        self._db.raw.execute("INSERT INTO audit_people (code, name, salt) VALUES (?, ?, ?)", (code, name, salt))
        return code

    # --- reading ------------------------------------------------------------------------------------------------------------------

    def head(self) -> Head:
        """The last entry; number 0 where there is none yet."""
        row = self._db.row("SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1")
        return Head(row["seq"], row["hash"]) if row else Head(0, NOTHING_BEFORE)

    def people(self) -> dict[str, str]:
        """Names by their codes."""
        return {row["code"]: row["name"] for row in self._db.rows("SELECT code, name FROM audit_people")}

    def entries(
        self, *, acts: Sequence[str] = (), who: str = "", project: str = "", before: int | None = None, limit: int = 200
    ) -> list[Entry]:
        """Entries, newest first.

        Args:
            acts: Only these.
            who: Only of this person, by name.
            project: Only of this project, by id.
            before: Only those before this number: the next page.
            limit: At most so many.
        """
        rows = self._db.rows(
            f"""SELECT {_COLUMNS} FROM audit_log WHERE (:acts = '[]' OR act IN (SELECT value FROM json_each(:acts)))
            AND (:who = '' OR who IN (SELECT code FROM audit_people WHERE name = :who))
            AND (:project = '' OR project = :project) AND seq < :before ORDER BY seq DESC LIMIT :limit""",
            {"acts": json.dumps(list(acts)), "who": who, "project": project, "before": before or 2**62, "limit": limit},
        )
        with understood():
            return [_entry(row) for row in rows]

    def count(self, act: str, project: str, after: int) -> int:
        """How often this was done in a project after this entry."""
        sql = "SELECT count(*) AS n FROM audit_log WHERE act = ? AND project = ? AND seq > ?"
        return int(self._db.rows(sql, (act, project, after))[0]["n"])

    def verify(self) -> Verified:
        """Walk the whole chain. Blocks."""
        with self._db.snapshot():
            head, size = self.head(), self._db.rows("SELECT count(*) AS n FROM audit_log")[0]["n"]
            found = Verified(int(size), head if head.seq else None)
            previous = NOTHING_BEFORE
            for number, row in enumerate(self._db.stream(f"SELECT {_COLUMNS} FROM audit_log ORDER BY seq"), 1):
                if problem := _misfit(row, number, previous):
                    return replace(found, broken_at=number, problem=problem)
                previous = row["hash"]
            for row in self._db.rows("SELECT code, name, salt FROM audit_people"):
                if _coded(str(row["salt"]), str(row["name"])) != row["code"]:
                    return replace(found, problem=f"The name “{row['name']}” is not the one that acted.")
        return found

    def missing(self, known: Head) -> str:
        """What a head that left the workspace says against this chain, in a sentence; "" when it is one of its entries."""
        if known.seq == 0:
            return "" if known.hash == NOTHING_BEFORE else "There is no entry with the number 0."
        found = self._db.row("SELECT seq, hash FROM audit_log WHERE hash = ?", (known.hash,))
        if found and known.seq in (None, found["seq"]):
            return ""
        if known.seq is None:
            return self._replaced(known) or "No entry has this hash: entries are missing, or the log was written anew."
        if replaced := self._replaced(known):
            return replaced
        last = self.head().seq or 0
        if known.seq > last:
            return f"Entries {last + 1:,} to {known.seq:,} are missing: the log ends at {last:,}."
        return f"Entry {known.seq:,} is not the one that was exported: the log was written anew up to there, or from before it."

    def _replaced(self, known: Head) -> str:
        """What restores say of an entry that is not here: they name the head they replaced."""
        for row in self._db.rows("SELECT seq, at, facts FROM audit_log WHERE act = 'restored' ORDER BY seq"):
            gone = json.loads(row["facts"]).get("replaced") or {}
            if known.hash == gone.get("hash"):
                return f"This head was replaced by a restore on {row['at'][:10]}, as entry {row['seq']:,} says."
            if known.seq and row["seq"] <= known.seq < (gone.get("seq") or 0):
                went = f"Entries {row['seq']:,} to {gone['seq']:,} of then went with a restore on {row['at'][:10]}"
                return f"{went}, as entry {row['seq']:,} says. The database as it was is among the backups."
        return ""


def forget_people(connection: Connection, names: Iterable[str]) -> None:
    """Erase who stands behind a code, for those of these people of whom nothing is left here."""
    for name in names:
        connection.execute(
            """DELETE FROM audit_people WHERE name = :name
            AND NOT EXISTS (SELECT 1 FROM judgements WHERE who = :name) AND NOT EXISTS (SELECT 1 FROM guidelines WHERE who = :name)
            AND NOT EXISTS (SELECT 1 FROM profiles WHERE name = :name) AND NOT EXISTS (SELECT 1 FROM adoptions WHERE who = :name)
            AND NOT EXISTS (SELECT 1 FROM settings WHERE scope = '' AND key = 'who' AND value = :json)""",
            {"name": name, "json": json.dumps(name, ensure_ascii=False)},
        )


def heads_in(text: str) -> list[Head]:
    """The heads that a text names as HASH:NUMBER, each once."""
    found = (Head(int(match[2]), match[1]) for match in _HEAD.finditer(text) if match[2])
    return list(dict.fromkeys(found))


def _coded(salt: str, name: str) -> str:
    return sha256_text(f"{salt}:{name}")[:_CODE_CHARS]


def _entry(row: Row) -> Entry:
    return Entry(**{**row, "facts": json.loads(row["facts"])})


def _misfit(row: Row, number: int, previous: str) -> str:
    """Why this row cannot be the entry of this number that follows on this hash; "" when it can."""
    if row["seq"] != number:
        return f"Entry {number:,} is missing."
    try:
        entry = _entry(row)
        if entry.previous != previous:
            return f"Entry {number:,} does not follow on the one before it."
        if entry.computed != entry.hash or canonical_json(entry.facts) != row["facts"]:
            return f"Entry {number:,} was changed."
    except (TypeError, ValueError, AttributeError, RecursionError):
        return f"Entry {number:,} was changed: it cannot be read."
    return ""
