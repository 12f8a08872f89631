"""Judging from a queue: answers prepared ahead of the expert, in a shuffled order that is kept with them."""

import random
import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from rlhf_desktop.core.errors import NotFound
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.conversations import Generator, Project
from rlhf_desktop.feedback.judgements import Judgement
from rlhf_desktop.feedback.protocol import Protocol
from rlhf_desktop.feedback.quality import for_everyone
from rlhf_desktop.feedback.snapshot import Split
from rlhf_desktop.feedback.split import prompt_hash
from rlhf_desktop.operations.history import unjudged_prompts
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.importing import OFFERED
from rlhf_desktop.store.prompts import StoredPrompt

_READY = "label_ready"
AT_ONCE = 500  # prompts of the queue that are read; when they are done, the next ones
_RECENT = 2000  # of each colleague's judgements, among which items are chosen that others judge too


@dataclass(frozen=True)
class LabelQueue:
    """What there is to do.

    Attributes:
        waiting: The first prompts that nobody has judged.
        unjudged: How many nobody has judged.
        prompts: How many prompts there are in all.
        ready: What was prepared before.
        protocol: What is asked.
        shared: Items a colleague judged that this person is to judge too.
    """

    waiting: list[StoredPrompt]
    unjudged: int
    prompts: int
    ready: list["Item"]
    protocol: Protocol
    shared: list["Item"]

    @property
    def total(self) -> int:
        """All there is, done or not."""
        return self.prompts + len(self.shared)

    @property
    def left(self) -> int:
        """How many are to be judged."""
        return self.unjudged + len(self.shared)

    @property
    def more(self) -> bool:
        """Whether prompts wait that are not among the first."""
        return self.unjudged > len(self.waiting)

    @property
    def judged(self) -> int:
        """How many are done."""
        return self.total - self.left


@dataclass(frozen=True)
class Item:
    """One thing to judge: stored answers in the order they are shown.

    Attributes:
        prompt_id: The prompt of a set; "" for what was judged before.
        conversation_id: Where the answers are.
        displayed: Message ids in displayed order.
        repeats: The judgement this silently asks for again; "" for a new item.
        shared: The colleague's judgement this asks for another opinion on; "" for a new item.
    """

    prompt_id: str
    conversation_id: str
    displayed: tuple[str, ...]
    repeats: str = ""
    shared: str = ""

    @property
    def key(self) -> str:
        """The name of its draft."""
        known = (("repeat", self.repeats), ("shared", self.shared))
        return next((f"{kind}:{of}" for kind, of in known if of), f"label:{self.prompt_id}")


def label_queue(store: Store, project: Project, who: str = "") -> LabelQueue:
    """The project's queue, for one person with `who`. Blocks: call it from a thread."""
    protocol = store.protocols.get(project.id)
    ready = remembered_ready(store, project, protocol.answers, who)
    ready += offered_items(store, project, protocol.answers, {item.prompt_id for item in ready})
    waiting, unjudged, total = unjudged_prompts(store, project, AT_ONCE)
    shared = shared_items(store, project, who, protocol) if who else []
    return LabelQueue(waiting, unjudged, total, ready, protocol, shared)


def shared_items(store: Store, project: Project, who: str, protocol: Protocol) -> list[Item]:
    """What colleagues judged that this person is to judge too, in an order drawn anew: nothing tells what they said.

    Only items of as many answers as are asked for now: what is asked would not fit the others.
    """
    found: dict[frozenset[str], Judgement] = {}
    for judgement in store.judgements.of_colleagues(project.id, who, _RECENT):
        fits = len(judgement.displayed) == protocol.answers
        if fits and for_everyone(judgement.displayed, protocol.overlap_share):
            found.setdefault(frozenset(judgement.displayed), judgement)
    return [_shared(store, judgement, who) for judgement in found.values()]


def _shared(store: Store, judgement: Judgement, who: str) -> Item:
    """The same order each time it is looked for, another for each person."""
    displayed = random.Random(f"{who} {judgement.id}").sample(judgement.displayed, len(judgement.displayed))
    conversation = store.conversations.message(displayed[0]).conversation_id
    return Item("", conversation, tuple(displayed), shared=judgement.id)


def prompts_from_text(text: str) -> list[Messages]:
    """Prompts written in one field: a blank line stands between two."""
    parts = re.split(r"\n\s*\n", text.strip())
    return [[{"role": "user", "content": part.strip()}] for part in parts if part.strip()]


def add_prompt_set(store: Store, project: Project, name: str, prompts: Sequence[Messages], split: Split | None = None) -> int:
    """Add prompts as a set of this name, or of the name with a number when it is taken. Returns how many were added.

    Args:
        store: Where to.
        project: Whose.
        name: Of the set.
        prompts: What to add.
        split: "heldout" keeps all of them to compare models on; None lets the project's split decide.

    Raises:
        BadInput: there are none, or one is in the other half already.
    """
    taken = {made.name.casefold() for made in store.prompts.sets(project.id)}
    names = (name if n == 1 else f"{name} {n}" for n in range(1, len(taken) + 2))
    store.prompts.create_set(project.id, next(free for free in names if free.casefold() not in taken), prompts, split)
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


def remembered_ready(store: Store, project: Project, answers: int, who: str = "") -> list[Item]:
    """The items prepared before that still fit: their prompt waits, their answers exist and are as many as are asked for.

    With `who`, an item that returns is that person's own: it was prepared when somebody else may have sat here.
    """
    found = [Item(**{**value, "displayed": tuple(value["displayed"])}) for value in store.settings.get(_READY, [], project.id)]
    waiting = _waiting(store, project, [item.prompt_id for item in found])
    fitting = [item for item in found if len(item.displayed) == answers and _still_there(store, item, waiting)]
    return [item for item in fitting if not (who and item.repeats) or _is_by(store, item.repeats, who)]


def offered_items(store: Store, project: Project, answers: int, but: Collection[str] = ()) -> list[Item]:
    """Imported questions that nobody has judged, with so many of the answers that came with them: no model writes new ones.

    Args:
        store: Where from.
        project: Which project.
        answers: How many are asked for.
        but: Prompts that are at hand already.
    """
    known = [
        one for one in store.settings.get(OFFERED, [], project.id) if len(one["answers"]) >= answers and one["prompt"] not in but
    ]
    waiting = _waiting(store, project, [one["prompt"] for one in known])
    found = [one for one in known if one["prompt"] in waiting][:AT_ONCE]
    shown = [(one, random.Random(one["prompt"]).sample(one["answers"], answers)) for one in found]
    items = [Item(one["prompt"], one["conversation"], tuple(displayed)) for one, displayed in shown]
    return [item for item in items if _still_there(store, item, waiting)]


def _waiting(store: Store, project: Project, prompt_ids: Sequence[str]) -> set[str]:
    """Those of these prompts that nobody has judged."""
    prompts = {prompt.id: prompt_hash(prompt.prompt) for prompt in store.prompts.by_ids(project.id, prompt_ids)}
    judged = store.questions.judged_among(project.id, set(prompts.values()))
    return {key for key, hashed in prompts.items() if hashed not in judged}


def _is_by(store: Store, judgement_id: str, who: str) -> bool:
    found = store.judgements.by_ids([judgement_id])
    return bool(found) and found[0].who == who


def _still_there(store: Store, item: Item, waiting: Collection[str]) -> bool:
    if not item.repeats and item.prompt_id not in waiting:
        return False
    try:
        for message_id in item.displayed:
            store.conversations.message(message_id)
    except NotFound:  # erased since
        return False
    return True
