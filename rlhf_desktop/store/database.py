"""The store: one SQLite file that holds a workspace's feedback."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.recipes import Algorithm
from rlhf_desktop.feedback.judgements import Demonstrated, Judgement
from rlhf_desktop.feedback.signals import Judged, SplitPrompt, settled, snapshot_rows
from rlhf_desktop.feedback.snapshot import SnapshotRow
from rlhf_desktop.store.audit import AuditLog
from rlhf_desktop.store.backups import back_up, check_file
from rlhf_desktop.store.conversations import ConversationStore
from rlhf_desktop.store.drafts import DraftStore
from rlhf_desktop.store.driver import Connection
from rlhf_desktop.store.evaluations import EvaluationStore
from rlhf_desktop.store.exports import ExportStore
from rlhf_desktop.store.guidelines import GuidelineStore
from rlhf_desktop.store.history import HistoryStore
from rlhf_desktop.store.judged import JudgedStore
from rlhf_desktop.store.judgements import JudgementStore
from rlhf_desktop.store.migrations import migrate, schema_version
from rlhf_desktop.store.profiles import ProfileStore, ProtocolStore
from rlhf_desktop.store.projects import ProjectStore, SettingsStore
from rlhf_desktop.store.prompts import PromptStore
from rlhf_desktop.store.questions import QuestionStore
from rlhf_desktop.store.standing import StandingStore
from rlhf_desktop.store.tags import TagStore
from rlhf_desktop.store.upkeep import LARGE_BYTES, Upkeep, back_up_if_possible


class Store:
    """The repositories over one connection.

    Usable from any thread: reading never waits, and one thread at a time writes. A long write (an import, a merge) belongs on
    another thread with a store of its own: `Store.open(store.path)`.

    Attributes:
        audit: Who did what and when.
        projects: Projects and their split.
        conversations: Trees of messages.
        judgements: Append-only judgements.
        evaluations: Blind comparisons and adoptions.
        prompts: Prompt sets.
        questions: Which prompts were judged, and which are held out.
        history: Judgements as lists read them: filtered, searched, sorted, by page.
        tags: Tags on judgements.
        drafts: Unfinished judgements.
        exports: Files that left.
        guidelines: What annotators are told, by version.
        profiles: Who the annotators are.
        protocols: Which forms of judgement a project asks for.
        settings: Small values by key.
        upkeep: The daily check and backup of a large file, beside the work.
        notice: What the user should know about how the file is kept; usually "".
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.path = connection.path
        self.notice = connection.notice
        self.upkeep: Upkeep | None = None
        self.audit = AuditLog(connection)
        self.projects = ProjectStore(connection, self.audit)
        self.settings = SettingsStore(connection)
        self.conversations = ConversationStore(connection)
        self.standing = StandingStore(connection)
        self.judgements = JudgementStore(connection, self.standing, self.audit)
        self.evaluations = EvaluationStore(connection, self.audit)
        self.prompts = PromptStore(connection, self.projects)
        self.questions = QuestionStore(connection, self.standing, self.projects)
        self.history = HistoryStore(connection, self.judgements, self.standing)
        self.tags = TagStore(connection)
        self._judged = JudgedStore(connection, self.judgements, self.standing, self.projects)
        self.drafts = DraftStore(connection)
        self.exports = ExportStore(connection, self.audit)
        self.guidelines = GuidelineStore(connection)
        self.profiles = ProfileStore(connection)
        self.protocols = ProtocolStore(self.settings)

    @classmethod
    def open(cls, path: Path) -> "Store":
        """Open a workspace's database: check it, bring its schema up to date, and make the day's backup.

        Backups go to `backups/` beside the file. A large file is checked and backed up beside the work, once a day; what comes of
        it is in `notice`.

        Raises:
            StoreTrouble: the file is damaged, in use, not writable, or written by a newer version of the program.
            NoSpace: the disk is full.
        """
        size = path.stat().st_size if path.exists() else 0
        if 0 < size < LARGE_BYTES:
            check_file(path)
        connection = Connection(path)
        try:
            backups = path.parent / "backups"
            migrate(connection, before=lambda old: back_up(connection, backups / f"before-schema-{old + 1}.db"))
            if 0 < size < LARGE_BYTES:
                connection.notice = f"{connection.notice} {back_up_if_possible(connection, backups)}".strip()
            store = cls(connection)
        except BaseException:
            connection.close()
            raise
        if size >= LARGE_BYTES:
            store.upkeep = Upkeep(path, backups, store.add_notice)
        return store

    def add_notice(self, text: str) -> None:
        """Add to what the user should know."""
        self.notice = f"{self.notice} {text}".strip()

    def close(self) -> None:
        """Close the file."""
        if self.upkeep:
            self.upkeep.stop()
        self.history.close()
        self.conversations.close()
        self.connection.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def data_version(self) -> int:
        """A number that changes when another process or store has written: ask, and reload when it differs."""
        (number,) = self.connection.raw.execute(
            "PRAGMA data_version"
        ).fetchone()  # the writer's, to which our own writes are no news
        return int(number)

    def schema_version(self) -> int:
        """The number of the newest migration the file has been through."""
        return schema_version(self.connection)

    def has_tombstones(self, ids: Sequence[str]) -> bool:
        """Whether one of these was erased here, or will not be let in."""
        sql = "SELECT 1 FROM tombstones WHERE id IN (SELECT value FROM json_each(?)) LIMIT 1"
        return bool(self.connection.rows(sql, (json.dumps(list(ids)),)))

    def demonstrate(self, project_id: str, parent_id: str, text: str, who: str, **fields: Any) -> Judgement:
        """Keep an answer written from scratch as an example: the message and the judgement that says so, both or neither.

        Args:
            project_id: Of which project.
            parent_id: The message it answers.
            text: The answer.
            who: Who wrote it.
            fields: More of `Judgement`: seconds_spent, guideline_version, critique, …
        """
        if not text.strip():
            raise BadInput("The example is empty.", "Write what the answer should say.")
        with self.connection.transaction():
            (node,) = self.conversations.add_answers(parent_id, [text])
            return self.judgements.add(Judgement(project_id, who, (node.id,), Demonstrated(), **fields))

    def judged(self, project_id: str) -> list[Judged]:
        """A project's judgements in effect, with prompts, texts and halves of the split."""
        return self._judged.all(project_id)

    def stream(self, project_id: str) -> Iterator[Judged]:
        """`judged`, some at a time: what exports are written from."""
        return self._judged.stream(project_id)

    def sample(self, project_id: str, each: int) -> list[Judged]:
        """`judged`, of each form and purpose only what was judged last: enough to say whether there is enough."""
        return self._judged.sample(project_id, each)

    def snapshot_rows(self, project_id: str, algorithm: Algorithm, prompts: Sequence[Messages] | None = None) -> list[SnapshotRow]:
        """What a run learns from: the contents of its `data.jsonl`.

        Args:
            project_id: Of which project.
            algorithm: Which trainer.
            prompts: For PPO: practise on these instead of the project's prompt sets and judged prompts.

        Raises:
            NotEnoughFeedback: says what is missing and how to get it.
        """
        with self.connection.snapshot():
            judged = self.judged(project_id)
            practice = self._practice(project_id, judged, prompts) if algorithm == "ppo" else []
        return snapshot_rows(algorithm, judged, practice)

    def _practice(self, project_id: str, judged: Sequence[Judged], prompts: Sequence[Messages] | None) -> list[SplitPrompt]:
        if prompts is not None:
            split = self.projects.splitter(project_id)
            return [SplitPrompt(prompt, split(prompt)) for prompt in prompts]
        stored = [SplitPrompt(p.prompt, p.split) for p in self.prompts.prompts(project_id)]
        return stored + [SplitPrompt(item.prompt, item.split) for item in settled(judged)]
