"""Conversations: trees of messages, and what generated each completion."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.core.messages import Messages, Role
from rlhf_desktop.core.protocol import Completion, Sampling, Written
from rlhf_desktop.core.thoughts import split_thought
from rlhf_desktop.feedback.conversations import Conversation, Finish, Generator, MessageNode, Origin, Tree, title_from, utc_now
from rlhf_desktop.store.driver import Row, understood
from rlhf_desktop.store.shelf import ConversationSummary, Shelf

_OF_ITS_MESSAGES = "SELECT * FROM {} WHERE message_id IN (SELECT id FROM messages WHERE conversation_id = ?)"

__all__ = ["ConversationStore", "ConversationSummary", "NewCompletion", "Planted"]


@dataclass(frozen=True)
class NewCompletion:
    """A model's answer to be kept.

    `written` is what it can be gone on with from, if it did not end by itself; `continues` is the answer that it goes on from.
    """

    text: str
    seed: int | None = None
    finish: Finish | None = None
    tokens: int | None = None
    thought: str = ""
    thought_tokens: int | None = None
    written: Written | None = None
    continues: str = ""

    @classmethod
    def of(cls, reply: Completion, seed: int | None, continues: str = "") -> "NewCompletion":
        """A worker's complete answer."""
        thought = (reply.thought, reply.thought_tokens or None)
        return cls(reply.text, seed, reply.finish, reply.tokens, *thought, reply.written, continues)


@dataclass(frozen=True)
class Planted:
    """A new conversation: its prompt's messages, and the answers to its last one."""

    conversation: Conversation
    branch: tuple[MessageNode, ...]
    answers: tuple[MessageNode, ...]


class ConversationStore(Shelf):
    """Reads and writes conversations. Messages are only ever added."""

    def create(self, project_id: str, title: str = "", origin: Origin = "chat") -> Conversation:
        """Start an empty conversation. Without a title it takes that of its first question."""
        now = utc_now()
        conversation = Conversation(new_id(), project_id, title, now, now, origin)
        self._db.insert("conversations", [vars(conversation)])
        return conversation

    def start(self, project_id: str, messages: Messages, origin: Origin = "chat") -> tuple[Conversation, MessageNode]:
        """A new conversation with these messages on one branch. Returns it and its last message."""
        (planted,) = self.plant(project_id, [(messages, ())], origin)
        return planted.conversation, planted.branch[-1]

    def plant(self, project_id: str, parts: Iterable[tuple[Messages, Sequence[str]]], origin: Origin = "import") -> list[Planted]:
        """Many new conversations at once, all or none: each a prompt and the answers to it that no model of ours made.

        A thought that an answer begins with is kept apart from it.
        """
        planted = [_plant(project_id, prompt, answers, origin) for prompt, answers in parts]
        with self._db.transaction():
            self._db.insert("conversations", [vars(p.conversation) for p in planted])
            self._db.insert("messages", [vars(node) for p in planted for node in (*p.branch, *p.answers)])
        return planted

    def get(self, conversation_id: str) -> Conversation:
        """The conversation with this id."""
        row = self._db.row("SELECT * FROM conversations WHERE id = ?", (conversation_id,))
        if row is None:
            raise NotFound("This conversation does not exist.", "Choose another conversation.", conversation_id)
        return Conversation(**row)

    def tree(self, conversation_id: str) -> Tree:
        """A conversation with all its messages."""
        with self._db.snapshot():
            conversation = self.get(conversation_id)
            rows = self._db.rows("SELECT * FROM messages WHERE conversation_id = ?", (conversation_id,))
            deleted = self._db.rows(_OF_ITS_MESSAGES.format("deleted_turns"), (conversation_id,))
            continued = self._db.rows(_OF_ITS_MESSAGES.format("continued_answers"), (conversation_id,))
        return Tree(
            conversation,
            tuple(MessageNode(**row) for row in rows),
            frozenset(row["message_id"] for row in deleted),
            {row["message_id"]: row["continues"] for row in continued},
        )

    def message(self, message_id: str) -> MessageNode:
        """The message with this id."""
        row = self._db.row("SELECT * FROM messages WHERE id = ?", (message_id,))
        if row is None:
            raise NotFound("This message does not exist.", "Reload the conversation.", message_id)
        return MessageNode(**row)

    def questions(self, message_ids: Iterable[str]) -> dict[str, str]:
        """What each of these messages replied to; those that replied to nothing are left out."""
        rows = self._db.rows(
            """SELECT m.id, p.content FROM messages m JOIN messages p ON p.id = m.parent_id
            WHERE m.id IN (SELECT value FROM json_each(?))""",
            (json.dumps(list(message_ids)),),
        )
        return {row["id"]: row["content"] for row in rows}

    def generators(self, ids: Iterable[str]) -> dict[str, Generator]:
        """What made the completions that name these generator ids."""
        wanted = json.dumps(sorted(set(ids)))
        rows = self._db.rows("SELECT * FROM generators WHERE id IN (SELECT value FROM json_each(?))", (wanted,))
        return {row["id"]: _generator(row) for row in rows}

    def add_message(self, conversation_id: str, parent_id: str | None, role: Role, content: str) -> MessageNode:
        """Add one message written by a person (a fork, if its parent has replies). It becomes the end of the active branch."""
        node = MessageNode(new_id(), conversation_id, parent_id, role, content, utc_now())
        with self._db.transaction():
            (added,) = self._add([node])
        return added

    def add_completions(self, parent_id: str, completions: Sequence[NewCompletion], generator: Generator) -> list[MessageNode]:
        """Add a model's answers to a message, as siblings in the order given. The first becomes the end of the active branch."""
        with self._db.transaction():
            conversation_id = self.message(parent_id).conversation_id
            self._db.insert("generators", [_generator_row(generator)], ignore=True)
            now = utc_now()
            nodes = self._add([_completed(conversation_id, parent_id, c, now, generator.id) for c in completions])
            self._add_cuts(nodes, completions)
            return nodes

    def _add_cuts(self, nodes: Sequence[MessageNode], completions: Sequence[NewCompletion]) -> None:
        """What there is to say of answers that were cut, or go on from such a one."""
        made = list(zip(nodes, completions, strict=True))
        cut = [{"message_id": node.id, "written": c.written.model_dump_json()} for node, c in made if c.written]
        longer = [{"message_id": node.id, "continues": c.continues} for node, c in made if c.continues]
        self._db.insert("cut_answers", cut)
        self._db.insert("continued_answers", longer)

    def written(self, message_id: str) -> Written | None:
        """The tokens of an answer that was cut; None where they are not known."""
        row = self._db.row("SELECT written FROM cut_answers WHERE message_id = ?", (message_id,))
        with understood():
            return Written.model_validate_json(row["written"]) if row else None

    def delete_turn(self, message_id: str, deleted: bool = True) -> None:
        """Take a message, and all that follows it, off its conversation, or put it back. Nothing goes from the store."""
        if deleted:
            self._db.execute("INSERT OR IGNORE INTO deleted_turns VALUES (?, ?)", (message_id, utc_now()))
        else:
            self._db.execute("DELETE FROM deleted_turns WHERE message_id = ?", (message_id,))

    def add_answers(self, parent_id: str, texts: Sequence[str]) -> list[MessageNode]:
        """Add answers that no model of ours made: written by a person, or imported."""
        with self._db.transaction():
            conversation_id = self.message(parent_id).conversation_id
            now = utc_now()
            return self._add([MessageNode(new_id(), conversation_id, parent_id, "assistant", text, now) for text in texts])

    def _add(self, nodes: list[MessageNode]) -> list[MessageNode]:
        """Insert siblings after the ones that exist, and make the first the end of the active branch."""
        if not nodes:
            raise BadInput("There is no answer to keep.", "Ask for an answer first.")
        first = nodes[0]
        self._check_parent(first)
        taken = self._db.row(
            "SELECT count(*) AS n FROM messages WHERE conversation_id = ? AND parent_id IS ?",
            (first.conversation_id, first.parent_id),
        )
        start = taken["n"] if taken else 0
        placed = [MessageNode(**{**vars(node), "position": start + i}) for i, node in enumerate(nodes)]
        self._db.insert("messages", [vars(node) for node in placed])
        conversation = self.get(first.conversation_id)
        title = conversation.title or title_from([first.message])
        self._db.execute(
            "UPDATE conversations SET active_leaf = ?, updated_at = ?, title = ? WHERE id = ?",
            (first.id, utc_now(), title, conversation.id),
        )
        return placed

    def _check_parent(self, node: MessageNode) -> None:
        if node.parent_id and self.message(node.parent_id).conversation_id != node.conversation_id:
            raise BadInput("This message belongs to another conversation.", "Reload the conversation.", node.parent_id)

    def set_active_leaf(self, conversation_id: str, message_id: str) -> None:
        """Remember the branch being looked at."""
        self._db.execute("UPDATE conversations SET active_leaf = ? WHERE id = ?", (message_id, conversation_id))

    def rename(self, conversation_id: str, title: str) -> None:
        """Give a conversation another title."""
        self._db.execute("UPDATE conversations SET title = ? WHERE id = ?", (" ".join(title.split()), conversation_id))


def _plant(project_id: str, prompt: Messages, answers: Sequence[str], origin: Origin) -> Planted:
    if not prompt:
        raise BadInput("A conversation needs a message.", "Write something first.")
    now, conversation_id = utc_now(), new_id()
    branch: list[MessageNode] = []
    for message in prompt:
        parent = branch[-1].id if branch else None
        branch.append(_written(conversation_id, parent, message["role"], message["content"], now, 0))
    last = branch[-1].id
    replies = [_written(conversation_id, last, "assistant", text, now, i) for i, text in enumerate(answers)]
    leaf = replies[0].id if replies else last
    conversation = Conversation(conversation_id, project_id, title_from(prompt), now, now, origin, leaf)
    return Planted(conversation, tuple(branch), tuple(replies))


def _completed(conversation_id: str, parent_id: str, made: NewCompletion, now: str, generator_id: str) -> MessageNode:
    """A model's answer as a message."""
    return MessageNode(
        new_id(),
        conversation_id,
        parent_id,
        "assistant",
        made.text,
        now,
        generator_id=generator_id,
        seed=made.seed,
        finish=made.finish,
        tokens=made.tokens,
        thought=made.thought,
        thought_tokens=made.thought_tokens,
    )


def _written(conversation_id: str, parent: str | None, role: Role, text: str, now: str, position: int) -> MessageNode:
    """A message that came from elsewhere."""
    thought, said = split_thought(text) if role == "assistant" else ("", text)
    return MessageNode(new_id(), conversation_id, parent, role, said, now, position, thought=thought)


def _generator_row(generator: Generator) -> Row:
    return {
        "id": generator.id,
        "model_name": generator.model_name,
        "model_hash": generator.model_hash,
        "adapter_name": generator.adapter_name,
        "adapter_hash": generator.adapter_hash,
        "sampling": generator.sampling.model_dump_json(),
    }


def _generator(row: Row) -> Generator:
    names = {key: row[key] for key in ("model_name", "model_hash", "adapter_name", "adapter_hash")}
    with understood():
        return Generator(**names, sampling=Sampling.model_validate_json(row["sampling"]))
