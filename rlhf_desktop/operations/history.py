"""The judgements of a project as a list shows them, a page at a time, and one of them as it was displayed."""

from collections.abc import Sequence
from dataclasses import dataclass

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.conversations import Generator, Project
from rlhf_desktop.feedback.judgements import AllBad, Correction, Demonstrated, Judgement, Ranking, Thumbs, effective
from rlhf_desktop.feedback.split import prompt_hash
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.prompts import StoredPrompt

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class HistoryRow:
    """One line of the list. `standing` is False for what was taken back or replaced."""

    judgement: Judgement
    prompt: str
    verdict: str
    standing: bool


@dataclass(frozen=True)
class HistoryItem:
    """A judgement with everything that was on screen."""

    row: HistoryRow
    prompt: Messages
    answers: tuple[str, ...]  # in displayed order
    writers: tuple[str, ...]  # who wrote each; "" for a person or a file


def history_page(store: Store, project: Project, offset: int, limit: int) -> list[HistoryRow]:
    """Some judgements, newest first."""
    with store.connection.snapshot():
        page = store.judgements.page(project.id, offset, limit)
        prompts = _prompts(store, page)
        standing = {j.id for j in effective(store.judgements.later([j.id for j in page]))}
    return [HistoryRow(j, prompts.get(j.id, ""), verdict_words(j), j.id in standing) for j in page]


def _prompts(store: Store, page: Sequence[Judgement]) -> dict[str, str]:
    """What each judgement's answers replied to."""
    found = {}
    for judgement in page:
        parent = store.conversations.message(judgement.displayed[0]).parent_id
        found[judgement.id] = store.conversations.message(parent).content if parent else ""
    return found


def history_item(store: Store, row: HistoryRow) -> HistoryItem:
    """One judgement as it was displayed."""
    first = store.conversations.message(row.judgement.displayed[0])
    tree = store.conversations.tree(first.conversation_id)
    nodes = [tree.node(message_id) for message_id in row.judgement.displayed]
    generators = store.conversations.generators({node.generator_id for node in nodes if node.generator_id})
    writers = tuple(_writer(generators.get(node.generator_id or "")) for node in nodes)
    return HistoryItem(row, tree.prompt_of(first.id), tuple(node.content for node in nodes), writers)


def _writer(generator: Generator | None) -> str:
    return (generator.adapter_name or generator.model_name) if generator else ""


def verdict_words(judgement: Judgement) -> str:
    """A verdict on one line, by displayed letter: "A = C > B"."""
    verdict = judgement.verdict
    if isinstance(verdict, Ranking):
        places = sorted(set(verdict.ranks))
        return " > ".join(" = ".join(LETTERS[i] for i, rank in enumerate(verdict.ranks) if rank == place) for place in places)
    if isinstance(verdict, AllBad):
        return "None will do"
    if isinstance(verdict, Correction):
        return f"{LETTERS[verdict.index]} corrected"
    if isinstance(verdict, Demonstrated):
        return "Written example"
    if isinstance(verdict, Thumbs):
        return "Good" if verdict.up else "Not good"
    return judgement.kind.capitalize()


def unjudged_prompts(store: Store, project: Project) -> tuple[list[StoredPrompt], int]:
    """The prompts of the project's sets that nobody has judged answers to, in order, and how many there are in all."""
    judged = {prompt_hash(item.prompt) for item in store.judged(project.id)}
    prompts = store.prompts.prompts(project.id)
    return [p for p in prompts if prompt_hash(p.prompt) not in judged], len(prompts)


def heldout_prompts(store: Store, project: Project) -> list[Messages]:
    """Prompts that are never trained on: of the project's sets, then of what was judged; each once."""
    found = {prompt_hash(p.prompt): p.prompt for p in store.prompts.prompts(project.id) if p.split == "heldout"}
    for item in store.judged(project.id):
        if item.split == "heldout":
            found.setdefault(prompt_hash(item.prompt), item.prompt)
    return list(found.values())
