"""Judging from a queue: answers prepared ahead of the expert, in a shuffled order that is kept with them."""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rlhf_desktop.core.errors import NotFound
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.conversations import Generator, Project
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.prompts import StoredPrompt

_READY = "label_ready"


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


def keep_answers(
    store: Store,
    project: Project,
    prompt: StoredPrompt,
    completions: Sequence[NewCompletion],
    generator: Generator,
    chance: random.Random,
) -> Item | None:
    """Store the answers to a prompt, all or none, in an order drawn for display. None when fewer than two say anything."""
    kept = [completion for completion in completions if completion.text.strip()]
    if len(kept) < 2:
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
