"""The judgements of a project as a list shows them, a page at a time, and one of them as it was displayed."""

from collections import Counter
from dataclasses import dataclass

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.conversations import Generator, Project
from rlhf_desktop.feedback.judgements import (
    Choice,
    Correction,
    Judgement,
    Labels,
    Ranking,
    Rating,
    Ratings,
    Spans,
    Thumbs,
    Verdict,
)
from rlhf_desktop.feedback.split import prompt_hash
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.history import Cursor, HistoryQuery
from rlhf_desktop.store.prompts import StoredPrompt

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class HistoryRow:
    """One line of the list. `standing` is False for what was taken back or replaced."""

    judgement: Judgement
    prompt: str
    verdict: str
    standing: bool
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class HistoryPage:
    """Some lines of the list, and where to go on; None at the end."""

    rows: tuple[HistoryRow, ...]
    next: Cursor | None


@dataclass(frozen=True)
class HistoryItem:
    """A judgement with everything that was on screen."""

    row: HistoryRow
    prompt: Messages
    answers: tuple[str, ...]  # in displayed order
    writers: tuple[str, ...]  # who wrote each; "" for a person or a file


def find_history(
    store: Store, project: Project, query: HistoryQuery | None = None, after: Cursor | None = None, limit: int = 100
) -> HistoryPage:
    """The next judgements that a query finds; give a page's `next` as `after` to go on."""
    with store.connection.snapshot():
        found, end = store.history.page(project.id, query or HistoryQuery(), after, limit)
        page = [judgement for judgement, _ in found]
        questions = store.conversations.questions([j.displayed[0] for j in page])
        tags = store.tags.of([j.id for j in page])
    rows = [
        HistoryRow(j, questions.get(j.displayed[0], ""), verdict_words(j), standing, tags.get(j.id, ())) for j, standing in found
    ]
    return HistoryPage(tuple(rows), end)


def count_history(store: Store, project: Project, query: HistoryQuery, at_most: int = 10_000) -> int:
    """How many judgements a query finds; `at_most` stands for that many or more."""
    return store.history.count(project.id, query, at_most)


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
    """All that was said on one line, by displayed letter: "A = C > B · accuracy 4/2/5 of 5"."""
    return " · ".join(_words(verdict) for verdict in judgement.verdicts)


def _words(verdict: Verdict) -> str:
    if isinstance(verdict, Ranking):
        strength = f" ({STRENGTHS[verdict.strength - 1]})" if verdict.strength else ""
        places = sorted(set(verdict.ranks))
        order = [" = ".join(LETTERS[i] for i, rank in enumerate(verdict.ranks) if rank == place) for place in places]
        return " > ".join(order) + strength
    if isinstance(verdict, Ratings):
        return ", ".join(_mark_words(rating) for rating in verdict.ratings)
    if isinstance(verdict, Labels):
        return ", ".join(_label_words(choice) for choice in verdict.choices)
    if isinstance(verdict, Spans):
        return ", ".join(f"{LETTERS[index]}: {n} marked" for index, n in sorted(Counter(s.index for s in verdict.spans).items()))
    if isinstance(verdict, Correction):
        return f"{LETTERS[verdict.index]} corrected"
    if isinstance(verdict, Thumbs):
        return f"{LETTERS[verdict.index]} {'good' if verdict.up else 'not good'}"
    return _PLAIN[verdict.kind]


STRENGTHS = ("slightly", "clearly", "much")
_PLAIN = {
    "all_bad": "None will do",
    "demonstration": "Written example",
    "skip": "Skipped",
    "flag": "Flagged",
    "withdrawn": "Taken back",
}


def _mark_words(rating: Rating) -> str:
    marks = "/".join("–" if score is None else str(score) for score in rating.scores)
    return f"{rating.attribute} {marks} of {rating.levels}"


def _label_words(choice: Choice) -> str:
    return f"{choice.question}: {'/'.join('+'.join(labels) or '–' for labels in choice.chosen)}"


def unjudged_prompts(store: Store, project: Project) -> tuple[list[StoredPrompt], int]:
    """The prompts of the project's sets that nobody has judged answers to, in order, and how many there are in all."""
    judged = {prompt_hash(prompt) for prompt in store.judgements.prompts(project.id)}
    prompts = store.prompts.prompts(project.id)
    return [p for p in prompts if prompt_hash(p.prompt) not in judged], len(prompts)


def heldout_prompts(store: Store, project: Project) -> list[Messages]:
    """Prompts that are never trained on: of the project's sets, then of what was judged; each once."""
    found = {prompt_hash(p.prompt): p.prompt for p in store.prompts.prompts(project.id) if p.split == "heldout"}
    split = store.projects.splitter(project.id)
    for prompt in store.judgements.prompts(project.id):
        if split(prompt) == "heldout":
            found.setdefault(prompt_hash(prompt), prompt)
    return list(found.values())
