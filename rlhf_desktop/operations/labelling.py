"""Judging from a queue: answers prepared ahead of the expert, in a shuffled order that is kept with them."""

import random
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rlhf_desktop.core.errors import NotFound
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.conversations import Generator, Project
from rlhf_desktop.feedback.protocol import Protocol
from rlhf_desktop.operations.history import unjudged_prompts
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.prompts import StoredPrompt

_READY = "label_ready"


@dataclass(frozen=True)
class LabelQueue:
    """What there is to do: prompts nobody has judged, how many there are in all, and what was prepared before."""

    waiting: list[StoredPrompt]
    total: int
    ready: list["Item"]
    protocol: Protocol

    @property
    def judged(self) -> int:
        """How many prompts are done."""
        return self.total - len(self.waiting)


@dataclass(frozen=True)
class Item:
    """One thing to judge: stored answers in the order they are shown.

    Attributes:
        prompt_id: The prompt of a set; "" for a repeat.
        conversation_id: Where the answers are.
        displayed: Message ids in displayed order.
        repeats: The judgement this silently asks for again; "" for a new item.
    """

    prompt_id: str
    conversation_id: str
    displayed: tuple[str, ...]
    repeats: str = ""


def label_queue(store: Store, project: Project) -> LabelQueue:
    """The project's queue. Blocks: call it from a thread."""
    waiting, total = unjudged_prompts(store, project)
    protocol = store.protocols.get(project.id)
    return LabelQueue(waiting, total, remembered_ready(store, project, waiting, protocol.answers), protocol)


def prompts_from_text(text: str) -> list[Messages]:
    """Prompts written in one field: a blank line stands between two."""
    parts = re.split(r"\n\s*\n", text.strip())
    return [[{"role": "user", "content": part.strip()}] for part in parts if part.strip()]


def add_prompt_set(store: Store, project: Project, name: str, prompts: Sequence[Messages]) -> int:
    """Add prompts as a set of this name, or of the name with a number when it is taken. Returns how many were added."""
    taken = {made.name.casefold() for made in store.prompts.sets(project.id)}
    names = (name if n == 1 else f"{name} {n}" for n in range(1, len(taken) + 2))
    store.prompts.create_set(project.id, next(free for free in names if free.casefold() not in taken), prompts)
    return len(prompts)


def keep_answers(
    store: Store,
    project: Project,
    prompt: StoredPrompt,
    completions: Sequence[NewCompletion],
    generator: Generator,
    chance: random.Random,
) -> Item | None:
    """Store the answers to a prompt, all or none, in an order drawn for display. None when too few say anything to be judged."""
    kept = [completion for completion in completions if completion.text.strip()]
    if len(kept) < max(1, min(2, len(completions))):
        return None
    with store.connection.transaction():
        conversation, leaf = store.conversations.start(project.id, prompt.prompt, "label")
        nodes = store.conversations.add_completions(leaf.id, kept, generator)
    return Item(prompt.id, conversation.id, tuple(node.id for node in chance.sample(nodes, len(nodes))))


def remember_ready(store: Store, project: Project, items: Sequence[Item]) -> None:
    """Keep the list of items prepared and not yet judged, over an end of the program at any moment."""
    store.settings.set(_READY, [asdict(item) for item in items], project.id)


def remembered_ready(store: Store, project: Project, prompts: Sequence[StoredPrompt], answers: int) -> list[Item]:
    """The items prepared before that still fit: their prompt waits, their answers exist and are as many as are asked for."""
    waiting = {prompt.id: prompt.prompt for prompt in prompts}
    found = [Item(**{**value, "displayed": tuple(value["displayed"])}) for value in store.settings.get(_READY, [], project.id)]
    return [item for item in found if len(item.displayed) == answers and _still_there(store, item, waiting)]


def _still_there(store: Store, item: Item, waiting: dict[str, Messages]) -> bool:
    if not item.repeats and item.prompt_id not in waiting:
        return False
    try:
        for message_id in item.displayed:
            store.conversations.message(message_id)
    except NotFound:  # erased since
        return False
    return True
