"""Answers being written, noted down every now and then, so that an end of the program at any moment loses only a moment's words."""

from collections.abc import Sequence
from typing import Any

from rlhf_desktop.core.errors import NotFound
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.feedback.conversations import Generator, Project
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.database import Store

_KEY = "unfinished_answers"
_NAMES = ("model_name", "model_hash", "adapter_name", "adapter_hash")


def note_unfinished(
    store: Store,
    project_id: str,
    parent: str,
    generator: Generator,
    seed: int,
    drafts: Sequence[tuple[str, str]],
    continues: str = "",
) -> None:
    """Remember what has been streamed so far of answers that are not stored yet: their texts, and what was thought first.

    `continues` is the stored answer that the one of them goes on from.
    """
    names = {name: getattr(generator, name) for name in _NAMES}
    made = {**names, "sampling": generator.sampling.model_dump(mode="json")}
    noted = {"parent": parent, "generator": made, "seed": seed, "drafts": list(drafts), "continues": continues}
    store.settings.set(_KEY, noted, project_id)


def forget_unfinished(store: Store, project_id: str) -> None:
    """The answers have ended, and are stored."""
    store.settings.set(_KEY, None, project_id)


def recover_unfinished(store: Store, project: Project) -> str | None:
    """Store what was noted of answers that never ended, as stopped ones. Returns their conversation; None when there were none."""
    noted: dict[str, Any] | None = store.settings.get(_KEY, None, project.id)
    if noted is None:
        return None
    drafts = noted["drafts"] if "drafts" in noted else [(text, "") for text in noted["texts"]]
    alone = len(drafts) == 1  # only then is a thought without an answer of use
    kept = [
        NewCompletion(text, noted["seed"], "cancelled", thought=thought, continues=noted.get("continues", ""))
        for text, thought in drafts
        if text.strip() or (alone and thought)
    ]
    conversation = None
    with store.connection.transaction():
        forget_unfinished(store, project.id)
        if kept:
            conversation = _keep(store, noted, kept)
    return conversation


def _keep(store: Store, noted: dict[str, Any], kept: list[NewCompletion]) -> str | None:
    made = dict(noted["generator"])
    generator = Generator(**{**made, "sampling": Sampling.model_validate(made["sampling"])})
    try:
        nodes = store.conversations.add_completions(noted["parent"], kept, generator)
    except NotFound:  # erased since
        return None
    return nodes[0].conversation_id
