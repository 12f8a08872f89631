"""What Argilla's records and Label Studio's tasks share: named fields (a prompt, answers) and answers to named questions.

Neither says what a question is about, so it is told from its name and from what was answered. We write names we can tell:
"preference", "reason", and "<what>-response-<n>" for what is said of one answer.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.formats.base import chat_of, single_turn
from rlhf_desktop.feedback.judgements import (
    AllBad,
    Choice,
    Correction,
    Demonstrated,
    Labels,
    Ranking,
    Rating,
    Ratings,
    Span,
    Spans,
    Thumbs,
    Verdict,
    dense,
)
from rlhf_desktop.feedback.rows import FeedbackRow, Unusable, prompt_of, row_of, text_of

PROMPT_NAMES = ("prompt", "instruction", "question", "query", "input", "chat", "conversation", "dialogue", "messages", "context")
PREFERENCE, REASON, ANSWER = "preference", "reason", "answer"
_WHY = ("reason", "why", "comment", "feedback", "critique", "explanation", "rationale", "note")
_RIGHT = ("correct", "rewrite", "improve", "edit", "better")
_NONE = ("none", "both_bad", "both bad", "bothbad", "all_bad", "neither")
_TIE = ("tie", "equal", "same", "both", "both_good", "draw")
_THUMBS = {"up": True, "down": False, "👍": True, "👎": False, "thumbs_up": True, "thumbs_down": False}
_LABEL_CHARS = 60


@dataclass(frozen=True)
class Fields:
    """What was shown: the prompt, and the answers by name."""

    prompt: Messages
    answers: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        """The answers' names, in order."""
        return list(self.answers)


def fields_of(values: Any) -> Fields:
    """The prompt is the field so called (or the first); the other texts are the answers."""
    if not isinstance(values, dict) or not values:
        raise Unusable("it has no fields")
    shown = {str(name): value for name, value in values.items() if isinstance(value, str | list) and value}
    first = next((name for wanted in PROMPT_NAMES for name in shown if name.casefold() == wanted), next(iter(shown), None))
    if first is None:
        raise Unusable("none of its fields is a text")
    answers = {name: text_of(value, f"field {name}") for name, value in shown.items() if name != first and isinstance(value, str)}
    return Fields(_prompt(shown[first]), answers)


def _prompt(value: Any) -> Messages:
    if isinstance(value, str):
        return prompt_of(value)
    authored = all(isinstance(turn, dict) and "author" in turn for turn in value)
    return prompt_of(chat_of(value, "prompt", "author", "text") if authored else chat_of(value, "prompt"))


@dataclass
class Said:
    """What one person answered, gathered question by question."""

    shown: Fields
    verdicts: list[Verdict] = field(default_factory=list)
    ratings: dict[tuple[str, int], dict[int, int]] = field(default_factory=dict)
    labels: dict[str, dict[int, tuple[str, ...]]] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    written: str = ""

    def rank(self, places: Mapping[str, int]) -> None:
        """A rank for each answer's name."""
        if set(places) != set(self.shown.answers):
            raise Unusable("the ranking does not name each answer once")
        self.verdicts.append(Ranking(dense([places[name] for name in self.shown.names])))

    def choose(self, question: str, chosen: str, about: int | None) -> None:
        """One of several words: an answer's name, a tie, none, a thumb, or a label."""
        said = chosen.strip().casefold()
        if chosen in self.shown.answers and len(self.shown.answers) > 1:
            self.rank({name: 1 if name == chosen else 2 for name in self.shown.answers})
        elif about is None and len(self.shown.answers) > 1 and said in _NONE:
            self.verdicts.append(AllBad())
        elif about is None and len(self.shown.answers) > 1 and said in _TIE:
            self.rank(dict.fromkeys(self.shown.answers, 1))
        elif said in _THUMBS and self.place(about) is not None:
            self.verdicts.append(Thumbs(_THUMBS[said], self.place(about) or 0))
        else:
            self.label(question, (chosen,), about)

    def label(self, question: str, chosen: Iterable[str], about: int | None) -> None:
        """Labels of one answer, or of all when the question names none."""
        places = range(len(self.shown.answers)) if self.place(about) is None else [self.place(about) or 0]
        for place in places:
            self.labels.setdefault(question, {})[place] = tuple(chosen)

    def rate(self, question: str, score: int, about: int | None) -> None:
        """A mark of one answer. The scale is not in the file: it is taken as 5, 7 or 10 steps."""
        place = self.place(about)
        if place is None:
            return  # of which answer?
        levels = next((steps for steps in (5, 7, 10) if score <= steps), None)
        if score < 1 or levels is None:
            raise Unusable(f"the mark {score} is not from 1 to 10")
        self.ratings.setdefault((question, levels), {})[place] = score

    def mark(self, start: Any, end: Any, category: str, about: int | None, severity: Any = 1) -> None:
        """A part of one answer."""
        place = self.place(about)
        if place is None:
            return
        text = list(self.shown.answers.values())[place]
        whole = isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text)
        if not whole:
            raise Unusable("a marked part lies outside its answer")
        self.spans.append(Span(place, start, end, category[:80], severity if severity in (1, 2, 3) else 1))

    def write(self, question: str, text: str, about: int | None) -> None:
        """A text: a reason, an answer put right, or an example."""
        name = question.casefold()
        if not self.shown.answers and not any(word in name for word in _WHY):
            self.written = text
        elif any(word in name for word in _RIGHT) and self.place(about) is not None:
            self.verdicts.append(Correction(text, self.place(about) or 0))
        elif any(word in name for word in _WHY) or len(text) > _LABEL_CHARS or "\n" in text:
            self.reasons.append(text)
        else:
            self.choose(question, text, about)

    def place(self, about: int | None) -> int | None:
        """Which answer is meant: the one named, or the only one."""
        return 0 if about is None and len(self.shown.answers) == 1 else about

    def row(self, annotator: str) -> FeedbackRow:
        """All of it."""
        texts = tuple(self.shown.answers.values())
        if self.written:
            return row_of(self.shown.prompt, [text_of(self.written, "answer")], [Demonstrated()], annotator)
        if not texts:
            raise Unusable("there is no answer to judge")
        verdicts = [*self.verdicts, *self._gathered(len(texts))]
        return row_of(self.shown.prompt, texts, verdicts, annotator, critique="\n".join(self.reasons))

    def _gathered(self, count: int) -> Iterator[Verdict]:
        places = range(count)
        if self.ratings:
            yield Ratings(tuple(Rating(n, k, tuple(s.get(i) for i in places)) for (n, k), s in self.ratings.items()))
        if self.labels:
            yield Labels(tuple(Choice(n, tuple(s.get(i, ()) for i in places)) for n, s in self.labels.items()))
        if self.spans:
            yield Spans(tuple(self.spans))


_OF_ANSWER = re.compile(r"^(?P<what>.*?)[-_ ]?(?P<name>response|answer|completion|text)[-_ ]?(?P<number>\d+)$", re.IGNORECASE)


def subject(question: str, names: list[str]) -> tuple[str, int | None]:
    """What a question asks and of which answer: "accuracy-response-2" is ("accuracy", 1)."""
    for place, name in enumerate(names):
        if question != name and question.endswith(name):
            return question[: -len(name)].rstrip("-_ ") or question, place
    found = _OF_ANSWER.match(question)
    if found and 1 <= int(found["number"]) <= len(names) and found["what"]:
        return found["what"], int(found["number"]) - 1
    return question, None


def response(place: int) -> str:
    """The name we give an answer."""
    return f"response-{place + 1}"


def slug(name: str) -> str:
    """A name as such tools take it: lower case, no spaces."""
    return re.sub(r"[^\w]+", "-", name.casefold()).strip("-") or "question"


def shown_fields(row: FeedbackRow) -> dict[str, Any]:
    """The prompt (a text, or its messages when it has several) and the answers."""
    example = any(isinstance(verdict, Demonstrated) for verdict in row.verdicts)
    answers = {} if example else {response(place): text for place, text in enumerate(row.completions)}
    return {"prompt": single_turn(row.prompt) or row.prompt, **answers}
