"""The judgements of a project as a list shows them, a page at a time, and one of them as it was displayed."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.words import count
from rlhf_desktop.feedback.conversations import Generator, Project
from rlhf_desktop.feedback.judgements import (
    Correction,
    Judgement,
    Labels,
    Ranking,
    Ratings,
    Spans,
    Thumbs,
    Verdict,
)
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


@dataclass(frozen=True)
class HistoryCount:
    """How long a list is; `in_effect`, of an unfiltered one, is the number of judgements that every other place says."""

    rows: int
    in_effect: int | None

    def words(self, at_most: int) -> str:
        """What the list says above its rows."""
        if self.in_effect is None:
            return f"{at_most:,} or more judgements" if self.rows >= at_most else count(self.rows, "judgement")
        gone = self.rows - self.in_effect if self.rows < at_most else 0
        more = count(gone, "that was taken back or replaced", "that were taken back or replaced")
        return f"{count(self.in_effect, 'judgement')}{f', and {more}' if gone > 0 else ''}"


def measure_history(store: Store, project: Project, query: HistoryQuery, at_most: int = 10_000) -> HistoryCount:
    """How long the list of a query is."""
    rows = count_history(store, project, query, at_most)
    everything = replace(query, standing=False, sort="newest") == HistoryQuery()
    in_effect = sum(store.standing.counts(project.id).values()) if everything else None
    return HistoryCount(in_effect if query.standing and in_effect is not None else rows, in_effect)


def history_item(store: Store, row: HistoryRow) -> HistoryItem:
    """One judgement as it was displayed."""
    first = store.conversations.message(row.judgement.displayed[0])
    tree = store.conversations.tree(first.conversation_id)
    nodes = [tree.node(message_id) for message_id in row.judgement.displayed]
    generators = store.conversations.generators({node.generator_id for node in nodes if node.generator_id})
    writers = tuple(_writer(generators.get(node.generator_id or "")) for node in nodes)
    return HistoryItem(row, tree.prompt_of(first.id), tuple(node.content for node in nodes), writers)


def prompt_of(store: Store, answer_id: str) -> Messages:
    """All that was said before an answer."""
    return store.conversations.tree(store.conversations.message(answer_id).conversation_id).prompt_of(answer_id)


def _writer(generator: Generator | None) -> str:
    return (generator.adapter_name or generator.model_name) if generator else ""


def verdict_words(judgement: Judgement) -> str:
    """All that was said on one line, by displayed letter: "A = C > B · Accuracy: A 4, B 2 of 5"."""
    alone = len(judgement.displayed) == 1
    return " · ".join(_words(verdict, alone) for verdict in judgement.verdicts)


def words_about(judgement: Judgement, place: int) -> list[str]:
    """Ratings, labels and thumb of one displayed answer, a line each: "Accuracy: 4 of 5"."""
    lines = []
    for verdict in judgement.verdicts:
        if isinstance(verdict, Ratings):
            lines += [_mark_words(r.attribute, r.levels, r.scores[place : place + 1]) for r in verdict.ratings if r.scores[place]]
        elif isinstance(verdict, Labels):
            lines += [_label_words(c.question, c.chosen[place : place + 1]) for c in verdict.choices if c.chosen[place]]
        elif isinstance(verdict, Thumbs) and verdict.index == place:
            lines.append("Good" if verdict.up else "Not good")
    return lines


def _words(verdict: Verdict, alone: bool) -> str:
    if isinstance(verdict, Ranking):
        strength = f" ({STRENGTHS[verdict.strength - 1]})" if verdict.strength else ""
        places = sorted(set(verdict.ranks))
        order = [" = ".join(LETTERS[i] for i, rank in enumerate(verdict.ranks) if rank == place) for place in places]
        return " > ".join(order) + strength
    if isinstance(verdict, Ratings):
        return " · ".join(_mark_words(rating.attribute, rating.levels, rating.scores) for rating in verdict.ratings)
    if isinstance(verdict, Labels):
        return " · ".join(_label_words(choice.question, choice.chosen) for choice in verdict.choices)
    if isinstance(verdict, Spans):
        marked = sorted(Counter(span.index for span in verdict.spans).items())
        return ", ".join(f"{n} {'part' if n == 1 else 'parts'}{'' if alone else f' of {LETTERS[i]}'} marked" for i, n in marked)
    if isinstance(verdict, Correction):
        return _of(verdict.index, "corrected", alone)
    if isinstance(verdict, Thumbs):
        return _of(verdict.index, "good" if verdict.up else "not good", alone)
    return _PLAIN[verdict.kind]


STRENGTHS = ("slightly", "clearly", "much")
_PLAIN = {
    "all_bad": "None will do",
    "demonstration": "Written example",
    "skip": "Skipped",
    "flag": "Flagged",
    "withdrawn": "Taken back",
}


def _of(place: int, words: str, alone: bool) -> str:
    """With the answer's letter: "A corrected"; of a single answer: "Corrected"."""
    return _opening(words) if alone else f"{LETTERS[place]} {words}"


def _mark_words(attribute: str, levels: int, scores: Sequence[int | None]) -> str:
    """One answer's mark is "Accuracy: answer A 4 of 5"; several share the scale: "Accuracy: A 4, B 2 of 5"."""
    return f"{_opening(attribute)}: {_by_answer([str(score or '') for score in scores])} of {levels}"


def _label_words(question: str, chosen: Sequence[Sequence[str]]) -> str:
    """The question and its labels: "Refers to care: A rightly, B missing"."""
    asked = _opening(question)
    return f"{asked}{'' if asked.endswith('?') else ':'} {_by_answer([' and '.join(labels) for labels in chosen])}"


def _by_answer(said: Sequence[str]) -> str:
    """What was said of each answer, with its letter where there are several to tell apart. Nothing of those left out ("")."""
    if len(said) == 1:
        return said[0]
    parts = [f"{LETTERS[place]} {words}" for place, words in enumerate(said) if words]
    return f"answer {parts[0]}" if len(parts) == 1 else ", ".join(parts)


def _opening(words: str) -> str:
    """With a capital letter first, the rest as it was written."""
    return words[:1].upper() + words[1:]


def unjudged_prompts(store: Store, project: Project, most: int) -> tuple[list[StoredPrompt], int, int]:
    """The first prompts of the sets that nobody has judged answers to, how many wait so, and how many prompts there are in all."""
    with store.connection.snapshot():
        found = store.questions.unjudged(project.id, most)
        return store.prompts.by_ids(project.id, found.first), found.waiting, found.total


def heldout_prompts(store: Store, project: Project, known: Collection[str] = (), most: int = -1) -> list[Messages]:
    """Prompts that are never trained on: of the project's sets, then of what was judged; each once.

    Args:
        store: Where they are.
        project: Whose.
        known: Prompt hashes to leave out.
        most: At most so many; -1: all.
    """
    return list(store.questions.heldout(project.id, known, most))
