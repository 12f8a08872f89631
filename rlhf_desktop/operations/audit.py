"""The audit log for people: what an entry says, whether the chain holds, and what leaves the workspace outside the database."""

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.core.words import count
from rlhf_desktop.feedback.bundles import open_bundle
from rlhf_desktop.hub.push import Pushed, PushPlan
from rlhf_desktop.operations.rows import disk_troubles
from rlhf_desktop.store.audit import Entry, Head, Verified, heads_in
from rlhf_desktop.store.database import Store

SOMEBODY = "erased person"  # whose name went with the last they had said
_MOST_BYTES = 64 * 2**20  # of a file that is looked through for heads
_ACTS: Mapping[str, str] = {
    "judged": "Judged",
    "imported": "Imported",
    "exported": "Exported",
    "merged": "Merged a bundle",
    "merge undone": "Undid a merge",
    "erased": "Erased",
    "restored": "Restored the database",
    "trained": "Started a run",
    "adopted": "Made a model current",
    "published": "Published",
    "project created": "Created the project",
    "project renamed": "Renamed the project",
    "project archived": "Archived the project",
    "project unarchived": "Unarchived the project",
    "project deleted": "Deleted the project",
    "project restored": "Restored the project",
    "project erased": "Erased the project for good",
    "passphrase created": "Encrypted the workspace",
    "passphrase changed": "Changed the passphrase",
    "passphrase removed": "Removed the encryption",
}


@dataclass(frozen=True)
class Line:
    """An entry as a list shows it."""

    seq: int
    at: str
    who: str
    project: str
    act: str
    facts: str
    hash: str


@dataclass(frozen=True)
class Checked:
    """What a check of the log found.

    Attributes:
        chain: What the walk along the chain found.
        known: How many heads from outside were looked for.
        problems: What is wrong, in sentences; empty when all fits.
    """

    chain: Verified
    known: int
    problems: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """All of it in one sentence or two."""
        if self.problems:
            return " ".join(self.problems)
        if not self.chain.entries:
            return "The log has no entries yet."
        heads = f" {count(self.known, 'exported head is', 'exported heads are')} in it." if self.known else ""
        return f"{count(self.chain.entries, 'entry fits', 'entries fit')}, each on the one before.{heads}"


# --- reading ------------------------------------------------------------------------------------------------------------------


def lines(store: Store, entries: Iterable[Entry]) -> list[Line]:
    """Entries with the names of people and projects as they are now."""
    people = store.audit.people()
    known = (*store.projects.all(), *store.projects.archived(), *store.projects.deleted())
    projects = {project.id: project.name for project in known}
    return [
        Line(
            entry.seq,
            entry.at,
            people.get(entry.who, SOMEBODY) if entry.who else "",
            projects.get(entry.project, "erased project") if entry.project else "",
            _ACTS.get(entry.act, entry.act),
            facts_words(entry),
            entry.hash,
        )
        for entry in entries
    ]


def facts_words(entry: Entry) -> str:
    """What an entry says beside who, when and where."""
    facts = entry.facts
    parts = [count(int(facts[name]), noun) for name, noun in _COUNTS if facts.get(name)]
    if entry.act == "judged" and "kind" in facts:
        parts = [str(facts["kind"])]
    parts += [str(facts[name]) for name in ("form", "algorithm", "kind_of_repo") if name in facts]
    if entry.act == "restored":
        gone = facts.get("replaced")
        parts += [f"in place of entry {gone['seq']:,}" if gone else "in place of none that can be read"]
    return ", ".join(parts)


_COUNTS = (
    ("judgements", "judgement"), ("messages", "message"), ("prompts", "prompt"), ("questions", "question"), ("erased", "erasure"),
    ("rows", "row"), ("judgements_saved", "saved judgement"),
)  # fmt: skip


def act_named(text: str) -> tuple[str, ...]:
    """The acts that a user asks for: their name or a part of it, as “project”.

    Raises:
        BadInput: there is none; says which there are.
    """
    wanted = text.strip().lower()
    found = tuple(act for act, words in _ACTS.items() if wanted in act or wanted in words.lower())
    if not wanted or not found:
        raise BadInput(f"Nothing called “{text}” is in the log.", f"There are: {', '.join(_ACTS)}.")
    return found


# --- checking -----------------------------------------------------------------------------------------------------------------


def check_log(store: Store, heads: Sequence[Head] = (), files: Sequence[Path] = ()) -> Checked:
    """Walk the chain, and look for heads that have left the workspace. Blocks.

    Args:
        store: Whose log.
        heads: Known ones.
        files: Bundles, reports and cards that name one.

    Raises:
        NotFound, BadInput: there is no such file, or it names no head.
    """
    known = list(dict.fromkeys([*heads, *(head for path in files for head in heads_of_file(path))]))
    chain = store.audit.verify()
    problems = [chain.problem] if chain.problem else []
    problems += [said for head in known if (said := store.audit.missing(head))]
    return Checked(chain, len(known), tuple(dict.fromkeys(problems)))


def heads_of_file(path: Path) -> list[Head]:
    """The heads that an exported file names.

    Raises:
        NotFound: there is no such file.
        BadInput: it names none.
    """
    if not path.is_file():
        raise NotFound(f"There is no file “{path.name}”.", "Check its name and folder.", str(path))
    with disk_troubles(path):
        found = heads_in(open_bundle(path).manifest.audit if zipfile.is_zipfile(path) else _text(path))
    if not found:
        raise BadInput(f"{path.name} names no head of an audit log.", "Bundles, reports and published cards do, since version 0.1.")
    return found


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES).decode("utf-8", "replace")


def head_words(store: Store) -> str:
    """The head for a report or a card, as `audit verify` finds it there."""
    head = store.audit.head()
    return f"Audit log of the workspace it comes from, last entry and hash: {head}" if head.seq else ""


# --- what is not in the database ----------------------------------------------------------------------------------------------


def note_published(store: Store, plan: PushPlan, done: Pushed, project: str = "") -> None:
    """Note what was sent to the Hub: its hashes and the version made, not its name, which is the user's words."""
    facts: dict[str, Any] = {
        "kind_of_repo": plan.kind,
        "commit": done.commit,
        "files": {str(n): f.sha256 for n, f in enumerate(plan.files)},
    }
    store.audit.note("published", project=project, **facts, private=done.private)


def note_model_export(store: Store, base: ModelRef, adapter: AdapterRef | None, form: str, size_bytes: int) -> None:
    """Note that a model was written as files for other programs."""
    facts: dict[str, Any] = {
        "form": form,
        "base": base.hash,
        "adapter": adapter.hash if adapter else None,
        "bytes": size_bytes,
    }
    store.audit.note("exported", **facts)
