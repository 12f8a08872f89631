"""A project's feedback out of the store into a bundle's rows, and a bundle's rows into the store: set union.

Merging is commutative, associative and idempotent. Events, messages and guidelines are added by id; what can change (titles,
profiles, tags) takes its newest value, with ties broken by value; a prompt that is held out anywhere is held out; and what was
erased anywhere goes everywhere, with every message that answers it and every judgement that shows or replaces it.

A bundle has a say over its own project only: what it says of another one here is passed over. A split that would leave a project
with nothing to train on is not taken.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rlhf_desktop.core.errors import AppError, BadInput, NotFound
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.runs import Value
from rlhf_desktop.core.words import count
from rlhf_desktop.feedback.bundles import (
    MAX_HELDOUT_SHARE,
    Bundle,
    ConversationRow,
    GeneratorRow,
    GuidelineRow,
    JudgementRow,
    MessageRow,
    ProfileRow,
    PromptRow,
    SplitRow,
    TagRow,
    TombstoneRow,
)
from rlhf_desktop.feedback.conversations import Generator, utc_now
from rlhf_desktop.feedback.judgements import Judgement, verdict_from_json, verdict_to_json
from rlhf_desktop.feedback.split import prompt_hash
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.driver import Connection, Row, understood
from rlhf_desktop.store.erasing import Doomed, bury, doomed, of_others, present
from rlhf_desktop.store.takings import Erasure
from rlhf_desktop.store.takings import erasures as one_by_one
from rlhf_desktop.store.unmerging import Recorder

_CHUNK = 500
_JUDGED = "SELECT c.message_id AS id FROM judged_completions c JOIN judgements j ON j.id = c.judgement_id WHERE j.project_id = :p"
_PATHS = f"""WITH RECURSIVE path(id) AS ({_JUDGED}
  UNION SELECT m.parent_id FROM messages m JOIN path ON m.id = path.id WHERE m.parent_id IS NOT NULL)"""
_QUERIES: dict[str, tuple[type[Value], str]] = {
    "tombstones.jsonl": (TombstoneRow, "SELECT id FROM tombstones ORDER BY id"),
    "generators.jsonl": (
        GeneratorRow,
        f"""{_PATHS} SELECT * FROM generators WHERE id IN (SELECT m.generator_id FROM messages m JOIN path ON path.id = m.id)
        ORDER BY id""",
    ),
    "conversations.jsonl": (
        ConversationRow,
        f"""{_PATHS} SELECT id, title, created_at, updated_at, origin FROM conversations
        WHERE id IN (SELECT m.conversation_id FROM messages m JOIN path ON path.id = m.id) ORDER BY id""",
    ),
    "messages.jsonl": (MessageRow, f"{_PATHS} SELECT m.* FROM messages m WHERE m.id IN (SELECT id FROM path) ORDER BY m.id"),
    "tags.jsonl": (
        TagRow,
        """SELECT t.judgement_id, t.tag, t.present, t.changed_at FROM judgement_tags t JOIN judgements j ON j.id = t.judgement_id
        WHERE j.project_id = :p ORDER BY t.judgement_id, t.tag""",
    ),
    "prompts.jsonl": (
        PromptRow,
        """SELECT p.id, s.name AS "set", p.position, p.messages, p.tags FROM prompts p JOIN prompt_sets s ON s.id = p.prompt_set_id
        WHERE s.project_id = :p ORDER BY p.id""",
    ),
    "guidelines.jsonl": (
        GuidelineRow,
        "SELECT id, version, text, who, created_at FROM guidelines WHERE project_id = :p ORDER BY id",
    ),
    "profiles.jsonl": (
        ProfileRow,
        "SELECT * FROM profiles WHERE name IN (SELECT who FROM judgements WHERE project_id = :p) ORDER BY name",
    ),
    "split.jsonl": (SplitRow, "SELECT prompt_hash, split FROM split_exceptions WHERE project_id = :p ORDER BY prompt_hash"),
}
_JSON = ("sampling", "messages", "tags")


def bundle_rows(store: Store, project_id: str) -> dict[str, Iterable[Value]]:
    """The rows of each of a bundle's files. Only judged answers and what leads to them: other chats stay here."""
    found: dict[str, Iterable[Value]] = {
        name: _rows(store.connection, project_id, model, sql) for name, (model, sql) in _QUERIES.items()
    }
    found["judgements.jsonl"] = _events(store, project_id)
    return found


def _rows(connection: Connection, project_id: str, model: type[Value], sql: str) -> Iterator[Value]:
    for row in connection.stream(sql, {"p": project_id}):
        with understood():
            made = model.model_validate({name: json.loads(value) if name in _JSON else value for name, value in row.items()})
        yield made


def _events(store: Store, project_id: str) -> Iterator[JudgementRow]:
    sql = "SELECT id FROM judgements WHERE project_id = :p ORDER BY id"
    ids = (row["id"] for row in store.connection.stream(sql, {"p": project_id}))
    while chunk := list(islice(ids, _CHUNK)):
        for j in sorted(store.judgements.by_ids(chunk), key=lambda j: j.id):
            yield _event_row(j)


def _event_row(j: Judgement) -> JudgementRow:
    plain = {name: value for name, value in vars(j).items() if name not in ("project_id", "verdict", "also", "displayed")}
    said = {"verdict": verdict_to_json(j.verdict), "also": [verdict_to_json(part) for part in j.also]}
    return JudgementRow(**plain, **said, displayed=list(j.displayed))


@dataclass(frozen=True)
class Merged:
    """What a merge did.

    Attributes:
        added: New rows by kind: judgements, conversations, prompts, …
        already: Judgements that were here before.
        erased: Judgements that went because a colleague erased them, or what they showed.
        conflicts: What both sides did differently, in sentences. Both are kept.
    """

    added: dict[str, int]
    already: int
    erased: int
    conflicts: tuple[str, ...]


@dataclass(frozen=True)
class Taken:
    """What a bundle's erasures would take of a project: the ids they name that are new here, what is here of it, and one by one."""

    ids: tuple[str, ...]
    going: Doomed
    prompts: int
    erasures: tuple[Erasure, ...]

    @property
    def nothing(self) -> bool:
        """Whether all that is here would stay."""
        return not (self.going.judgements or self.going.messages or self.prompts)


def what_it_takes(store: Store, project_id: str, bundle: Bundle) -> Taken:
    """Look what a merge with its erasures would take. Nothing is changed."""
    db = store.connection
    with db.snapshot():
        known = {row["id"] for row in db.rows("SELECT id FROM tombstones")}
        named = [row.id for row in bundle.rows("tombstones.jsonl") if row.id not in known]
        others = of_others(db, project_id, named)
        ids = [one for one in named if one not in others]
        prompts = db.rows("SELECT count(*) AS n FROM prompts WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(ids),))
        going = doomed(db, ids)
        return Taken(tuple(ids), going, prompts[0]["n"], one_by_one(db, ids, going))


def merge_rows(
    store: Store,
    project_id: str,
    bundle: Bundle,
    cancelled: Callable[[], None] = lambda: None,
    *,
    erasures: Collection[str] | bool = True,
) -> Merged:
    """Add a bundle to a project in one transaction: all of it, or (when something does not fit) nothing.

    Args:
        store: Where to.
        project_id: Which project.
        bundle: What to add.
        cancelled: Called now and then; may raise to stop.
        erasures: Take what was erased there away here too: all of it, nothing, or only these ids and what is not here.

    Raises:
        BadInput: the bundle contradicts itself, or what is here; says how.
    """
    merge = _Merge(store, project_id, bundle, cancelled)
    before = store.audit.head().seq or 0
    with store.audit.together("merged", project=project_id) as noted:
        store.connection.raw.execute("PRAGMA defer_foreign_keys=ON")  # answers may come before their questions
        done = merge.run(erasures)
        merge.recorder.keep(project_id, done.added.get("judgements", 0), done.erased, before)
        noted.facts |= {"added": done.added, "erased": done.erased, "their_head": bundle.manifest.audit}
    return done


class _Merge:
    """One merge under way."""

    def __init__(self, store: Store, project_id: str, bundle: Bundle, cancelled: Callable[[], None]) -> None:
        self._store, self._db, self._project, self._bundle, self._cancelled = store, store.connection, project_id, bundle, cancelled
        self._added: Counter[str] = Counter()
        self._already = self._erased = 0
        self._untaken: list[str] = []
        self.recorder = Recorder(store.connection)

    def run(self, erasures: Collection[str] | bool) -> Merged:
        absent = self._bury_theirs(erasures) if erasures is not False else []
        with self.recorder.watching():  # only from here on: what was erased is not kept for an undo
            bury(self._store, absent)
            self._generators()
            self._conversations()
            dead = self._dead_messages()
            self._messages(dead)
            added = self._judgements(dead)
            self._changing()
            self._prompts()
            self._guidelines()
            self._split()
        return Merged(dict(self._added), self._already, self._erased, (*self._untaken, *self._conflicts(added)))

    def _chunks(self, name: str) -> Iterator[list[Any]]:
        rows = self._bundle.rows(name)
        while chunk := list(islice(rows, _CHUNK)):
            self._cancelled()
            yield chunk

    def _refused(self, why: str) -> BadInput:
        return BadInput(f"{self._bundle.path.name} was refused: {why}.", "Nothing was merged. Ask for the bundle again.")

    def _buried(self) -> set[str]:
        return {row["id"] for row in self._db.rows("SELECT id FROM tombstones")}

    def _known(self, table: str, ids: Iterable[str]) -> dict[str, Row]:
        rows = self._db.rows(f"SELECT * FROM {table} WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),))
        return {row["id"]: row for row in rows}

    def _bury_theirs(self, wanted: Collection[str] | bool) -> list[str]:
        """Erase what is this project's and wanted. Returns the ids of what is not here, and shall never come."""
        absent: list[str] = []
        for chunk in self._chunks("tombstones.jsonl"):
            ids = [row.id for row in chunk]
            others, here = of_others(self._db, self._project, ids), present(self._db, ids)
            absent += [one for one in ids if one not in here]
            going = [one for one in ids if one in here and one not in others]
            if not isinstance(wanted, bool):
                going = [one for one in going if one in wanted]
            self._erased += len(bury(self._store, going).judgements)
        return absent

    def _keep_out(self, table: str, ids: Sequence[str]) -> None:
        """Never let in what depends on something that was erased. What is here already does not, whatever the bundle says."""
        if self._known(table, ids):
            raise self._refused("what it says was erased is not what it holds")
        bury(self._store, ids)

    def _generators(self) -> None:
        for chunk in self._chunks("generators.jsonl"):
            for row in chunk:
                names = (row.model_name, row.model_hash, row.adapter_name, row.adapter_hash)
                if Generator(*names, sampling=Sampling.model_validate(row.sampling)).id != row.id:
                    raise self._refused("a model's description was changed")
            rows = [{**row.model_dump(exclude={"sampling"}), "sampling": row.sampling.model_dump_json()} for row in chunk]
            self._db.insert("generators", rows, ignore=True)

    def _conversations(self) -> None:
        buried = self._buried()
        for chunk in self._chunks("conversations.jsonl"):
            rows = [row for row in chunk if row.id not in buried]
            known = self._known("conversations", [row.id for row in rows])
            if any(row["project_id"] != self._project for row in known.values()):
                raise self._refused("its conversations are in another project of this workspace already")
            fresh = [{**row.model_dump(), "project_id": self._project} for row in rows if row.id not in known]
            self._db.insert("conversations", fresh)
            self._added["conversations"] += len(fresh)
            self._db.execute_many(
                """UPDATE conversations SET updated_at = :updated_at, title = :title
                WHERE id = :id AND (:updated_at, :title) > (updated_at, title)""",
                [row.model_dump() for row in rows if row.id in known],
            )

    def _dead_messages(self) -> set[str]:
        """The bundle's messages that were erased, or answer one that was. Refuses messages that answer each other in a circle."""
        buried = self._buried()
        parents: dict[str, str | None] = {}
        dead: dict[str, bool] = {}
        for row in (row for chunk in self._chunks("messages.jsonl") for row in chunk):
            parents[row.id] = row.parent_id
            if row.id in buried or row.conversation_id in buried:
                dead[row.id] = True
        for message in parents:
            path: list[str] = []
            place: str | None = message
            while place is not None and place in parents and place not in dead:
                path.append(place)
                place = parents[place]
                if len(path) > len(parents):
                    raise self._refused("its messages answer each other in a circle")
            gone = place is not None and (place in buried or dead.get(place, False))
            dead.update(dict.fromkeys(path, gone))
        return {message for message in parents if dead[message]}

    def _messages(self, dead: set[str]) -> None:
        self._keep_out("messages", sorted(dead))
        for chunk in self._chunks("messages.jsonl"):
            rows = [row.model_dump() for row in chunk if row.id not in dead]
            known = self._known("messages", [row["id"] for row in rows])
            if any(known.get(row["id"], row) != row for row in rows):
                raise self._refused("one of its messages has another text here")
            fresh = [row for row in rows if row["id"] not in known]
            self._db.insert("messages", fresh)
            self._added["messages"] += len(fresh)
        for chunk in self._chunks("messages.jsonl"):
            if self._strays([row.id for row in chunk]):
                raise self._refused("one of its messages is part of no conversation")

    def _strays(self, ids: list[str]) -> bool:
        """Whether one of these messages is outside this project's conversations, or answers a message of another one."""
        return bool(
            self._db.rows(
                """SELECT 1 FROM messages m LEFT JOIN messages p ON p.id = m.parent_id
                LEFT JOIN conversations c ON c.id = m.conversation_id
                WHERE m.id IN (SELECT value FROM json_each(?)) AND (c.id IS NULL OR c.project_id != ?
                OR (m.parent_id IS NOT NULL AND (p.id IS NULL OR p.conversation_id != m.conversation_id))) LIMIT 1""",
                (json.dumps(ids), self._project),
            )
        )

    def _judgements(self, dead: set[str]) -> list[str]:
        dying = self._dying(dead)
        self._keep_out("judgements", sorted(dying))
        known_to_come = {row.id for chunk in self._chunks("judgements.jsonl") for row in chunk} - dying
        added: list[str] = []
        for chunk in self._chunks("judgements.jsonl"):
            events = [self._event(row) for row in chunk if row.id not in dying]
            here = {j.id: j for j in self._store.judgements.by_ids([event.id for event in events])}
            if any(here.get(event.id, event) != event for event in events):
                raise self._refused("one of its judgements says something else here")
            fresh = [event for event in events if event.id not in here]
            self._add(fresh, known_to_come)
            self._already += len(here)
            added += [event.id for event in fresh]
        self._added["judgements"] += len(added)
        return added

    def _event(self, row: JudgementRow) -> Judgement:
        fields = row.model_dump(exclude={"verdict", "also", "displayed"})
        try:
            verdict, also = verdict_from_json(row.verdict), tuple(verdict_from_json(part) for part in row.also)
            return Judgement(project_id=self._project, displayed=tuple(row.displayed), verdict=verdict, also=also, **fields)
        except (AppError, TypeError, ValueError) as problem:
            raise self._refused(f"one of its judgements does not fit ({str(problem)[:200]})") from None

    def _add(self, events: Sequence[Judgement], known: set[str]) -> None:
        try:
            self._store.judgements.add_all(events, known)
        except (BadInput, NotFound) as problem:
            raise self._refused(f"one of its judgements does not fit: {problem.message.rstrip('.')}") from None

    def _dying(self, dead: set[str]) -> set[str]:
        """The bundle's judgements that were erased, show an erased message, or replace an erased judgement."""
        buried = self._buried() | dead
        links = {row.id: row for chunk in self._chunks("judgements.jsonl") for row in chunk}
        dying = {row.id for row in links.values() if row.id in buried or buried.intersection(row.displayed)}
        heirs: dict[str, list[str]] = {}
        for row in links.values():
            if row.supersedes:
                heirs.setdefault(row.supersedes, []).append(row.id)
        queue = [*dying, *buried]
        while queue:
            for heir in heirs.get(queue.pop(), ()):
                if heir not in dying:
                    dying.add(heir)
                    queue.append(heir)
        return dying

    def _changing(self) -> None:
        """Tags and profiles: the newest value counts, and of two as new, the greater."""
        for chunk in self._chunks("tags.jsonl"):
            self._db.execute_many(
                """INSERT INTO judgement_tags (judgement_id, tag, present, changed_at)
                SELECT :judgement_id, :tag, :present, :changed_at
                WHERE EXISTS (SELECT 1 FROM judgements WHERE id = :judgement_id AND project_id = :project)
                ON CONFLICT (judgement_id, tag) DO UPDATE SET present = excluded.present, changed_at = excluded.changed_at
                WHERE (excluded.changed_at, excluded.present) > (changed_at, present)""",
                [{**row.model_dump(), "project": self._project} for row in chunk],
            )
        for chunk in self._chunks(
            "profiles.jsonl"
        ):  # those known to other projects, and one's own, are not this bundle's to change
            self._db.execute_many(
                """INSERT INTO profiles (name, role, credentials, updated_at) SELECT :name, :role, :credentials, :updated_at
                WHERE EXISTS (SELECT 1 FROM judgements WHERE who = :name AND project_id = :project)
                AND (NOT EXISTS (SELECT 1 FROM profiles WHERE name = :name)
                  OR NOT EXISTS (SELECT 1 FROM judgements WHERE who = :name AND project_id != :project)
                  AND NOT EXISTS (SELECT 1 FROM settings WHERE scope = '' AND key = 'who' AND value = :quoted))
                ON CONFLICT (name) DO UPDATE SET role = excluded.role, credentials = excluded.credentials,
                  updated_at = excluded.updated_at
                WHERE (excluded.updated_at, excluded.role, excluded.credentials) > (updated_at, role, credentials)""",
                [
                    {**row.model_dump(), "project": self._project, "quoted": json.dumps(row.name, ensure_ascii=False)}
                    for row in chunk
                ],
            )

    def _prompts(self) -> None:
        sets, buried = {made.name: made.id for made in self._store.prompts.sets(self._project)}, self._buried()
        for chunk in ([row for row in found if row.id not in buried] for found in self._chunks("prompts.jsonl")):
            for name in sorted({row.set for row in chunk} - set(sets)):
                sets[name] = new_id()
                self._db.insert(
                    "prompt_sets", [{"id": sets[name], "project_id": self._project, "name": name, "created_at": utc_now()}]
                )
            known = self._known("prompts", [row.id for row in chunk])
            rows = [self._prompt(row, sets[row.set]) for row in chunk]
            if any(_same(known.get(row["id"], row)) != _same(row) for row in rows):
                raise self._refused("one of its prompts has another text here")
            fresh = [row for row in rows if row["id"] not in known]
            self._db.insert("prompts", fresh)
            self._added["prompts"] += len(fresh)

    def _prompt(self, row: PromptRow, set_id: str) -> Row:
        messages: Messages = row.messages
        return {
            "id": row.id,
            "prompt_set_id": set_id,
            "position": row.position,
            "messages": json.dumps(messages, ensure_ascii=False),
            "prompt_hash": prompt_hash(messages),
            "tags": json.dumps(row.tags, ensure_ascii=False),
        }

    def _guidelines(self) -> None:
        known_texts = len(self._store.guidelines.versions(self._project)) + self._bundle.count("guidelines.jsonl")
        for chunk in self._chunks("guidelines.jsonl"):
            if any(row.version > known_texts for row in chunk):  # each version follows on the one before
                raise self._refused("its guidelines leave out versions")
            rows = [{**row.model_dump(), "project_id": self._project} for row in chunk]
            known = self._known("guidelines", [row["id"] for row in rows])
            if any(known.get(row["id"], row) != row for row in rows):
                raise self._refused("its guidelines have another text here")
            fresh = [row for row in rows if row["id"] not in known]
            self._db.insert("guidelines", fresh)
            self._added["guidelines"] += len(fresh)

    def _split(self) -> None:
        """One split: the larger share is held out, and what is held out anywhere is held out; unless nothing would be left."""
        share, own = self._bundle.manifest.heldout_share, self._store.projects.get(self._project).heldout_share
        if share > MAX_HELDOUT_SHARE:
            self._untaken.append(f"It would hold out {share:.0%} of all prompts: that share was not taken.")
        elif share > own or self._bundle.count("split.jsonl"):
            self._take_split_unless_nothing_is_left()

    def _take_split_unless_nothing_is_left(self) -> None:
        before = self._training_prompts()
        self._db.raw.execute("SAVEPOINT split")
        self._take_split()
        if before and not self._training_prompts():
            self._db.raw.execute("ROLLBACK TO split")
            self._untaken.append(
                "Its split would hold out every prompt here and leave nothing to train on, so the split stays as it was."
            )
        self._db.raw.execute("RELEASE split")

    def _training_prompts(self) -> int:
        """Prompts judged or in a set, of those that are here now, that may be trained on."""
        rows = self._db.rows(
            """SELECT q.prompt_hash AS hash FROM judged_questions q WHERE q.project_id = :p UNION
            SELECT p.prompt_hash FROM prompts p JOIN prompt_sets s ON s.id = p.prompt_set_id WHERE s.project_id = :p""",
            {"p": self._project},
        )
        splitter = self._store.projects.splitter(self._project)
        return sum(splitter.of_hash(row["hash"]) == "train" for row in rows)

    def _take_split(self) -> None:
        share = self._bundle.manifest.heldout_share
        self._db.execute("UPDATE projects SET heldout_share = max(heldout_share, ?) WHERE id = ?", (share, self._project))
        for chunk in self._chunks("split.jsonl"):
            self._db.execute_many(
                """INSERT INTO split_exceptions (project_id, prompt_hash, split) VALUES (:project, :prompt_hash, :split)
                ON CONFLICT (project_id, prompt_hash) DO UPDATE SET split = excluded.split WHERE excluded.split = 'heldout'""",
                [{**row.model_dump(), "project": self._project} for row in chunk],
            )

    def _conflicts(self, added: Sequence[str]) -> Iterator[str]:
        twice = self._db.rows(
            """SELECT count(*) AS n FROM (SELECT e.supersedes FROM judgements e JOIN judgements f
            ON f.supersedes = e.supersedes AND f.id != e.id AND f.kind != 'withdrawn'
            WHERE e.kind != 'withdrawn' AND e.id IN (SELECT value FROM json_each(?)) GROUP BY e.supersedes)""",
            (json.dumps(list(added)),),
        )[0]["n"]
        if twice:
            many = count(twice, "judgement was", "judgements were")
            yield f"{many} revised on both sides; both revisions count. Look at them and take one back."
        texts = Counter(guideline.version for guideline in self._store.guidelines.versions(self._project))
        for version in sorted(version for version, many in texts.items() if many > 1):
            yield f"There are {texts[version]} texts of version {version} of the guidelines. Save one of them as a new version."


def _same(row: Row) -> tuple[Any, ...]:
    return row["position"], json.loads(row["messages"]), json.loads(row["tags"])
