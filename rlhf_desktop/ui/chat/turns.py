"""What the conversation shows: values made from the stored tree."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rlhf_desktop.core.messages import Role
from rlhf_desktop.feedback.conversations import Generator, MessageNode, Tree
from rlhf_desktop.ui.judging.ranking import LETTERS


@dataclass(frozen=True)
class Turn:
    """One message on the branch being shown."""

    id: str
    role: Role
    text: str
    model: str  # who wrote it, "" for a person
    position: int  # among its alternatives, from 0
    alternatives: int
    cut: str  # why it is unfinished, in words; "" when it is whole
    last: bool
    comparable: bool  # the alternatives of the last answer can be ranked
    thought: str = ""  # what the model thought first
    thought_tokens: int | None = None
    continuable: bool = False  # it was cut, by a model that can go on with it
    draft: str = ""  # what was typed of an edit that is not saved


def model_name(generator: Generator | None) -> str:
    """Who wrote an answer, as screens say it."""
    if generator is None:
        return ""
    name = generator.adapter_name or generator.model_name
    return f"{name} (a server)" if is_server(generator) else name


def is_server(generator: Generator) -> bool:
    """Whether an answer came from a server."""
    return generator.model_hash.startswith("server:")


def turns(
    tree: Tree, generators: dict[str, Generator], most: int, judged: set[frozenset[str]], drafts: Mapping[str, str] | None = None
) -> list[Turn]:
    """The active branch of a conversation.

    Args:
        tree: The conversation.
        generators: Who wrote its answers.
        most: As many answers can be ranked at once.
        judged: Those that have been.
        drafts: Edits that are not saved, by message.
    """
    path, drafts = tree.active_path(), drafts or {}
    shown = [replace(_turn(tree, node, generators, node is path[-1], most), draft=drafts.get(node.id, "")) for node in path]
    done = bool(path) and frozenset(n.id for n in tree.alternatives(path[-1].id) if n.generator_id) in judged
    return [replace(turn, comparable=turn.comparable and not done) for turn in shown]


def _turn(tree: Tree, node: MessageNode, generators: dict[str, Generator], last: bool, most: int) -> Turn:
    siblings = tree.alternatives(node.id)
    generator = generators.get(node.generator_id or "")
    cut = {"length": "Cut at the limit", "cancelled": "Stopped"}.get(node.finish or "", "")
    return Turn(
        id=node.id,
        role=node.role,
        text=node.content,
        model=model_name(generator),
        position=siblings.index(node),
        alternatives=len(siblings),
        cut=cut,
        last=last,
        comparable=last and node.role == "assistant" and 2 <= len(siblings) <= most,
        thought=node.thought,
        thought_tokens=node.thought_tokens,
        # A server's chat interface begins answers and cannot go on with one; and while answers are judged they stay as displayed.
        continuable=bool(cut) and generator is not None and not is_server(generator),
    )


def revealed(models: list[str]) -> str:
    """Who wrote the answers, once they are judged: "All were written by X." or "A was written by X, B by Y."."""
    if len(set(models)) == 1:
        return f"All were written by {models[0]}." if models[0] else ""
    named = [f"{LETTERS[place]} by {model or 'a person'}" for place, model in enumerate(models)]
    return f"Written: {', '.join(named)}."
