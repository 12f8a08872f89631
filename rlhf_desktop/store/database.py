"""The store: one SQLite file that holds a workspace's feedback."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rlhf_desktop.core.errors import BadInput, NoSpace, StoreTrouble
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.recipes import Algorithm
from rlhf_desktop.feedback.judgements import Demonstrated, Judgement
from rlhf_desktop.feedback.signals import Judged, SplitPrompt, settled, snapshot_rows
from rlhf_desktop.feedback.snapshot import SnapshotRow
from rlhf_desktop.store.backups import back_up, back_up_daily
from rlhf_desktop.store.conversations import ConversationStore
from rlhf_desktop.store.drafts import DraftStore
from rlhf_desktop.store.driver import Connection, damaged, plainly
from rlhf_desktop.store.evaluations import EvaluationStore
from rlhf_desktop.store.exports import ExportStore
from rlhf_desktop.store.guidelines import GuidelineStore
from rlhf_desktop.store.history import HistoryStore
from rlhf_desktop.store.judgements import JudgementStore
from rlhf_desktop.store.migrations import migrate, schema_version
from rlhf_desktop.store.profiles import ProfileStore, ProtocolStore
from rlhf_desktop.store.projects import ProjectStore, SettingsStore
from rlhf_desktop.store.prompts import PromptStore
from rlhf_desktop.store.tags import TagStore


class Store:
    """The repositories over one connection.

    Usable from any thread: each call holds a lock, so a short read or write on a worker thread is safe. Long work (an import,
    training data of a large project) belongs on another thread with a store of its own: `Store.open(store.path)`.

    Attributes:
        projects: Projects and their split.
        conversations: Trees of messages.
        judgements: Append-only judgements.
        evaluations: Blind comparisons and adoptions.
        prompts: Prompt sets.
        history: Judgements as lists read them: filtered, searched, sorted, by page.
        tags: Tags on judgements.
        drafts: Unfinished judgements.
        exports: Files that left.
        guidelines: What annotators are told, by version.
        profiles: Who the annotators are.
        protocols: Which forms of judgement a project asks for.
        settings: Small values by key.
        notice: What the user should know about how the file is kept; usually "".
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.path = connection.path
        self.notice = connection.notice
        self.projects = ProjectStore(connection)
        self.settings = SettingsStore(connection)
        self.conversations = ConversationStore(connection)
        self.judgements = JudgementStore(connection)
        self.evaluations = EvaluationStore(connection)
        self.prompts = PromptStore(connection, self.projects)
        self.history = HistoryStore(connection, self.judgements)
        self.tags = TagStore(connection)
        self.drafts = DraftStore(connection)
        self.exports = ExportStore(connection)
        self.guidelines = GuidelineStore(connection)
        self.profiles = ProfileStore(connection)
        self.protocols = ProtocolStore(self.settings)

    @classmethod
    def open(cls, path: Path) -> "Store":
        """Open a workspace's database: check it, bring its schema up to date, and make the day's backup.

        Backups go to `backups/` beside the file. Its time grows with the file; a large one is opened away from the window's thread.

        Raises:
            StoreTrouble: the file is damaged, in use, not writable, or written by a newer version of the program.
            NoSpace: the disk is full.
        """
        existed = path.exists() and path.stat().st_size > 0
        connection = Connection(path)
        try:
            if existed:
                _check_health(connection)
            backups = path.parent / "backups"
            migrate(connection, before=lambda old: back_up(connection, backups / f"before-schema-{old + 1}.db"))
            if existed:
                _back_up_if_possible(connection, backups)
        except BaseException:
            connection.close()
            raise
        return cls(connection)

    def close(self) -> None:
        """Close the file."""
        self.history.close()
        self.conversations.close()
        self.connection.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def data_version(self) -> int:
        """A number that changes when another process or store has written: ask, and reload when it differs."""
        return int(self.connection.rows("PRAGMA data_version")[0]["data_version"])

    def schema_version(self) -> int:
        """The number of the newest migration the file has been through."""
        return schema_version(self.connection)

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
        return self.judgements.judged(project_id, self.projects.splitter(project_id))

    def stream(self, project_id: str) -> Iterator[Judged]:
        """`judged`, some at a time: what exports are written from."""
        return self.judgements.stream(project_id, self.projects.splitter(project_id))

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


def _back_up_if_possible(connection: Connection, folder: Path) -> None:
    """The day's backup. Where it cannot be made the work still goes on, and the notice says so."""
    try:
        back_up_daily(connection, folder)
    except (NoSpace, StoreTrouble) as problem:
        connection.notice = f"{connection.notice} Today's backup was not made. {problem}".strip()


def _check_health(connection: Connection) -> None:
    with plainly():
        found = [str(row[0]) for row in connection.raw.execute("PRAGMA quick_check(5)")]
    if found != ["ok"]:
        raise damaged("; ".join(found))
