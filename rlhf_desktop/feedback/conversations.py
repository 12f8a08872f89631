"""Projects, conversations as trees of messages, and what generated each completion: values, no storage.

A message points at its parent. A fork is a second child; several answers to one prompt are siblings. Nothing is
edited in place: changing a message means a new sibling.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal, overload

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.core.files import canonical_json, sha256_text
from rlhf_desktop.core.messages import Message, Messages, Role
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.feedback.attachments import question_of

Origin = Literal["chat", "label", "import", "sample"]
Finish = Literal["end", "length", "cancelled"]


def utc_now() -> str:
    """The time as every stored value writes it: ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Project:
    """One subject the user teaches: its prompts, conversations, judgements and runs belong together.

    An archived one is in no list of projects; a deleted one neither, and is erased after a while. Both can be brought back.
    """

    id: str
    name: str
    created_at: str
    sample: bool = False
    heldout_share: float = 0.15
    archived_at: str | None = None
    deleted_at: str | None = None

    @property
    def in_use(self) -> bool:
        """Whether it is neither archived nor deleted."""
        return self.archived_at is None and self.deleted_at is None


@dataclass(frozen=True)
class Conversation:
    """One tree of messages. `origin` says where it came from; `active_leaf` is the end of the branch last looked at."""

    id: str
    project_id: str
    title: str
    created_at: str
    updated_at: str
    origin: Origin = "chat"
    active_leaf: str | None = None
    folder: str = ""


@dataclass(frozen=True)
class Generator:
    """What made a completion: the model, the adapter on it and how it was sampled. Equal generators have one id everywhere."""

    model_name: str
    model_hash: str
    adapter_name: str | None = None
    adapter_hash: str | None = None
    sampling: Sampling = field(default_factory=Sampling)

    @classmethod
    def of(cls, model: ModelRef, adapter: AdapterRef | None, sampling: Sampling) -> "Generator":
        """The generator of an answer by `model` with `adapter`, by the engine it has.

        Paths are left out: they differ between workstations.
        """
        drawn = sampling.model_copy(update={"engine": model.engine})
        if adapter is None:
            return cls(model.name, model.hash, None, None, drawn)
        return cls(model.name, model.hash, adapter.name, adapter.hash, drawn)

    @cached_property
    def id(self) -> str:
        """SHA-256 of the content."""
        names = [self.model_name, self.model_hash, self.adapter_name, self.adapter_hash]
        return sha256_text(canonical_json([*names, self.sampling.identity()]))


@dataclass(frozen=True)
class MessageNode:
    """One message of a tree. `position` orders siblings; what follows it is set for a model's completion.

    `thought` is what the model thought before it answered: no part of what it said, and never judged, sent back or learned from.
    """

    id: str
    conversation_id: str
    parent_id: str | None
    role: Role
    content: str
    created_at: str
    position: int = 0
    generator_id: str | None = None
    seed: int | None = None
    finish: Finish | None = None
    tokens: int | None = None
    thought: str = ""
    thought_tokens: int | None = None

    @property
    def message(self) -> Message:
        """The message as models and files take it."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True)
class Tree:
    """A conversation with all its messages.

    Attributes:
        conversation: Its title and where it is.
        nodes: Every message ever said in it.
        deleted: Messages the user took off it, with all that follows them.
        continued: Answer that goes on from another → that other, which was cut.
    """

    conversation: Conversation
    nodes: tuple[MessageNode, ...]
    deleted: frozenset[str] = frozenset()
    continued: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _by_id(self) -> dict[str, MessageNode]:
        return {node.id: node for node in self.nodes}

    @cached_property
    def _children(self) -> dict[str | None, list[MessageNode]]:
        children: dict[str | None, list[MessageNode]] = {}
        for node in sorted(self.nodes, key=lambda n: (n.position, n.id)):
            children.setdefault(node.parent_id, []).append(node)
        return children

    def node(self, message_id: str) -> MessageNode:
        """The message with this id.

        Raises:
            NotFound: it is not part of this conversation.
        """
        try:
            return self._by_id[message_id]
        except KeyError:
            raise NotFound("This message is not part of the conversation.", "Reload the conversation.", message_id) from None

    def children(self, message_id: str | None) -> tuple[MessageNode, ...]:
        """The replies to a message, oldest first; of None: the first messages."""
        return tuple(self._children.get(message_id, ()))

    def siblings(self, message_id: str) -> tuple[MessageNode, ...]:
        """The alternatives to a message, itself included, oldest first."""
        return self.children(self.node(message_id).parent_id)

    def alternatives(self, message_id: str) -> tuple[MessageNode, ...]:
        """The siblings that are shown: without deleted ones, and without a beginning whose continuation is there instead of it."""
        shown = [node for node in self.siblings(message_id) if node.id == message_id or node.id not in self.deleted]
        begun = {self.continued.get(node.id) for node in shown}
        return tuple(n for n in shown if n.id == message_id or n.id not in begun or self._replies(n.id))

    def _replies(self, message_id: str | None) -> list[MessageNode]:
        return [node for node in self._children.get(message_id, ()) if node.id not in self.deleted]

    def path(self, message_id: str) -> tuple[MessageNode, ...]:
        """From the first message to this one."""
        return path_to(self.node(message_id), self._by_id)

    def prompt_of(self, message_id: str) -> Messages:
        """What this message answers: everything before it on its path."""
        return [node.message for node in self.path(message_id)[:-1]]

    @overload
    def leaf_under(self, message_id: str) -> str: ...

    @overload
    def leaf_under(self, message_id: str | None) -> str | None: ...

    def leaf_under(self, message_id: str | None) -> str | None:
        """The end of the newest branch below a message (of None: of the whole tree); the message itself if it has no reply.

        What was deleted is as if it were not there.
        """
        while replies := self._replies(message_id):
            message_id = replies[-1].id
        return message_id

    def active_path(self) -> tuple[MessageNode, ...]:
        """The branch to show: the one last looked at, followed to its end; without one, the newest.

        Where something on it was deleted, what stands beside that is shown, or nothing after it.
        """
        chosen = self.conversation.active_leaf
        looked_at = self.path(chosen) if chosen is not None and chosen in self._by_id else ()
        gone = next((node for node in looked_at if node.id in self.deleted), None)
        leaf = self.leaf_under(gone.parent_id if gone else chosen if looked_at else None)
        return self.path(leaf) if leaf else ()


def path_to(node: MessageNode, by_id: Mapping[str, MessageNode]) -> tuple[MessageNode, ...]:
    """From the first message to `node`.

    Raises:
        BadInput: the parents form a circle (only a damaged or forged file has one).
    """
    path = [node]
    while node.parent_id is not None:
        node = by_id[node.parent_id]
        path.append(node)
        if len(path) > len(by_id):
            raise BadInput("A conversation's messages answer each other in a circle.", "Restore the database from a backup.")
    return tuple(reversed(path))


def title_from(messages: Iterable[Message], limit: int = 60) -> str:
    """A conversation's title: the start of its first question, cut at a word."""
    first = next((m["content"] for m in messages if m["role"] == "user"), "")
    text = " ".join(question_of(first).split())
    if len(text) <= limit:
        return text
    cut = text[:limit].rsplit(" ", 1)[0]
    return cut.rstrip(" ,.;:") + "…"
