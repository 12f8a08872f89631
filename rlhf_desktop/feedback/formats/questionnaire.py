"""What Argilla's records and Label Studio's tasks share: answers of one person to named questions about the fields shown.

What a question is about is told from the format's declaration, from its name and from what was answered. We write names we can
tell: "preference", "reason", and "<what>-response-<n>" for what is said of one answer.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rlhf_desktop.feedback.formats.asking import Context, Question
from rlhf_desktop.feedback.formats.base import as_words, single_turn
from rlhf_desktop.feedback.formats.choosing import Chosen, chosen
from rlhf_desktop.feedback.formats.extras import ask_scale, mark
from rlhf_desktop.feedback.formats.roles import Fields, designators, pooled
from rlhf_desktop.feedback.formats.scales import Scale, either_way, scale_of, scales_with
from rlhf_desktop.feedback.formats.thumbs import asks_worst, thumb_of
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
from rlhf_desktop.feedback.rows import FeedbackRow, Unusable, row_of, text_of

PREFERENCE, REASON, ANSWER = "preference", "reason", "answer"
_WHY = ("reason", "why", "comment", "feedback", "critique", "explanation", "rationale", "note", "justif", "remark")
_RIGHT = ("correct", "rewrite", "improve", "edit", "better", "revis", "fix")
_PREFERS = ("prefer", "better", "best", "winner", "compar", "rank", "choose", "favourite", "favorite", "choice")
_NEITHER = re.compile(r"\b(?:longer|longest|shorter|shortest|length|verbos\w+|complex\w*|simpler|simplest|formal|difficult\w*)\b")
_JUDGES = re.compile(
    r"^(?:is |overall |answer |response )*(?:good|ok|correct|quality|verdict|accept(?:ed|able)?|approved?|judge?ment)$"
)
_OWN_ANSWER = re.compile(  # questions that ask for an answer of one's own
    r"\b(?:answer|response|completion|output|reply|demonstration|example|rewrite|ideal|gold|reference|corrected|correction|written)\b"
)
_LABEL_CHARS = 60


@dataclass
class Said:
    """What one person answered, gathered question by question."""

    shown: Fields
    context: Context
    verdicts: list[Verdict] = field(default_factory=list)
    ratings: dict[tuple[str, int], dict[int, int]] = field(default_factory=dict)
    labels: dict[str, dict[int, tuple[str, ...]]] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    partial: list[dict[str, float]] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    written: str = ""

    def miss(self, what: str) -> None:
        """Something was said that is left out."""
        self.missed.append(what)
        self.context.note(what)

    def rank(self, places: Mapping[str, float], strength: int | None = None) -> None:
        """A rank for each answer's name, or for some of them: those alone are compared then."""
        if not set(places) <= set(self.shown.answers):
            raise Unusable("the ranking names an answer that was not shown")
        if len(places) < 2:
            raise Unusable("a ranking needs two answers")
        if set(places) == set(self.shown.answers):
            ranks = dense([places[name] for name in self.shown.names])
            told = strength if len(ranks) == 2 and len(set(ranks)) == 2 else None
            self.verdicts.append(Ranking(ranks, told))
        else:
            self.partial.append(dict(places))

    def choose(self, question: str, word: str, about: int | None) -> None:
        """One of several words: an answer's name, a tie, none, a thumb, or a label."""
        names, thumb = self.shown.names, _thumb(word)
        found = chosen(word, names, by_place=about is None) if len(names) > 1 else None
        if (found and found.says == "unclear") or (
            found is None and len(names) > 1 and about is None and thumb is None and _prefers(question)
        ):
            found = self._ask(question, word)
        if found and found.says == "better":
            self._prefer(question, word, found, about)
        elif found and about is None:
            none = found.says == "none" and not asks_worst(question)  # neither is worse: they are alike
            self.verdicts.append(AllBad()) if none else self.rank(dict.fromkeys(names, 1))
        elif self.place(about) is not None and self._is_thumb(question, word, thumb):
            self.verdicts.append(Thumbs(bool(thumb_of(word)), self.place(about) or 0))
        else:
            self.label(question, (word,), about)

    def _prefer(self, question: str, word: str, found: Chosen, about: int | None) -> None:
        direction = self._direction(question)
        if direction == "label":
            self.label(question, (word,), about)
            return
        best, others = (2, 1) if direction == "worst" else (1, 2)
        places = {name: best if place == found.place else others for place, name in enumerate(self.shown.names)}
        self.rank(places, found.strength)

    def _is_thumb(self, question: str, word: str, thumb: bool | None) -> bool:
        """Whether a word says good or bad of an answer; "good" and "no" may be labels, too."""
        if thumb is not None or thumb_of(word) is None or not _JUDGES.search(as_words(question)):
            return thumb is not None
        choices = (("thumb", "It is a thumb up or down"), ("label", "It is a label"))
        text = f"Does “{question[:40]}” say whether the answer is good?"
        return self.context.ask(Question(f"thumb:{question}", text, choices, "label")) == "thumb"

    def _direction(self, question: str) -> str:
        """Whether who is chosen is the "best" or the "worst", or that is no judgement."""
        if not _NEITHER.search(as_words(question)):
            return "worst" if asks_worst(question) else "best"
        choices = (("best", "It is the better one"), ("worst", "It is the worse one"), ("label", "It is a label, no judgement"))
        text = f"Is the answer chosen for “{question[:40]}” better or worse?"
        return self.context.ask(Question(f"direction:{question}", text, choices))

    def _ask(self, question: str, word: str) -> Chosen | None:
        names = self.shown.names
        known = designators(names)
        choices = (
            [(f"#{place + 1}", f"The answer “{name}”") for place, name in enumerate(names)] if known else [(n, n) for n in names]
        )
        also = [("tie", "They are equally good"), ("none", "None will do"), ("label", "It is a label, no comparison")]
        answer = self.context.ask(Question(
            f"choice:{word[:40]}", f"Which answer does “{word[:40]}” mean, chosen for “{question[:40]}”?", (*choices, *also),
        ))  # fmt: skip
        if answer == "label":
            return None
        if answer.startswith("#") and answer[1:].isdecimal() and 1 <= int(answer[1:]) <= len(names):
            return Chosen("better", int(answer[1:]) - 1)
        found = chosen(answer, names)
        if found is None or found.says == "unclear":
            raise Unusable(f"“{answer[:40]}” names none of the answers")
        return found

    def label(self, question: str, chosen_labels: Iterable[str], about: int | None) -> None:
        """Labels of one answer, or of all when the question names none."""
        places = range(len(self.shown.answers)) if self.place(about) is None else [self.place(about) or 0]
        for place in places:
            self.labels.setdefault(question, {})[place] = tuple(chosen_labels)

    def order(self, question: str, places: Mapping[str, float]) -> None:
        """A ranking that a question gave: the best first, unless its name leaves that open."""
        if asks_worst(question):
            choices = (("best", "It begins with the best"), ("worst", "It begins with the worst"))
            asked = Question(f"order:{question}", f"Does “{question[:40]}” begin with the best answer or the worst?", choices)
            if self.context.ask(asked) == "worst":
                places = {name: -place for name, place in places.items()}
        self.rank(places)

    def rate(self, question: str, score: float, about: int | None, scale: Scale | None = None, directed: bool = False) -> None:
        """A mark of one answer.

        Args:
            question: What is marked.
            score: The mark.
            about: Of which answer.
            scale: As declared; without one, all marks of the question in the file tell it, or it is asked.
            directed: Whether the declared scale says which end is the best.
        """
        place = self.place(about)
        if place is None:
            self.miss(f"The marks of “{question[:40]}” are about no one answer and are left out")
            return
        if not directed:
            scale = self._scale(question, score, scale)
        rating = mark(question, score, scale or Scale(1, 5), self.context)
        self.ratings.setdefault((question, rating.levels), {})[place] = rating.scores[0] or 1

    def _scale(self, question: str, score: float, declared: Scale | None) -> Scale:
        key, context = f"scale:{question}", self.context
        if key in context.answers:
            return scale_of(context.answers[key])
        marks = {float(value) for value in context.values(f"marks:{pooled(question)}")} | {score}
        if not either_way(as_words(question)):
            return declared or ask_scale(key, question, marks, context)
        both = [declared, Scale(declared.best, declared.worst, declared.step)] if declared else scales_with(marks)
        return scale_of(context.ask(Question(
            key,
            f"Is a high mark of “{question[:40]}” good or bad? Its marks go from {min(marks):g} to {max(marks):g}.",
            tuple((str(one), one.words) for one in both),
        )))  # fmt: skip

    def mark(self, start: Any, end: Any, category: str, about: int | None, severity: Any = 1) -> None:
        """A part of one answer."""
        place = self.place(about)
        if place is None:
            self.context.note("Parts marked in the question are left out")
            return
        text = list(self.shown.answers.values())[place]
        whole = isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text)
        if not whole:
            raise Unusable("a marked part lies outside its answer")
        self.spans.append(Span(place, start, end, category[:80], severity if severity in (1, 2, 3) else 1))

    def write(self, question: str, text: str, about: int | None, typed: bool = False) -> None:
        """A text: a reason, an answer put right, or an example.

        Args:
            question: What was asked.
            text: The answer to it.
            about: Which of the answers shown it is about.
            typed: Whether it is known to have been written, not chosen.
        """
        name = question.casefold()
        if not self.shown.answers and not any(word in name for word in _WHY):
            if typed or self._is_example(question, text):
                self.written = text
        elif any(word in name for word in _RIGHT) and self.place(about) is not None and not _is_word(text, self.shown.names):
            self.verdicts.append(Correction(text, self.place(about) or 0))
        elif any(word in name for word in _WHY) or len(text) > _LABEL_CHARS or "\n" in text:
            self.reasons.append(text)
        else:
            self.choose(question, text, about)

    def _is_example(self, question: str, text: str) -> bool:
        """Whether a text beside a prompt without answers was written as one, and is no label of the prompt."""
        if _OWN_ANSWER.search(as_words(question)) or len(text) > _LABEL_CHARS or "\n" in text:
            return True
        choices = (("example", "An answer to imitate"), ("label", "A label of what is shown"))
        asked = Question(f"text:{question}", f"Is what was said to “{question[:40]}” an answer to imitate, or a label?", choices)
        return self.context.ask(asked) == "example"

    def place(self, about: int | None) -> int | None:
        """Which answer is meant: the one named, or the only one."""
        return 0 if about is None and len(self.shown.answers) == 1 else about

    def rows(self, annotator: str) -> Iterator[FeedbackRow]:
        """All of it: one row, and one for each ranking of some of the answers."""
        texts = tuple(self.shown.answers.values())
        if self.written:
            yield row_of(self.shown.prompt, [text_of(self.written, "answer")], [Demonstrated()], annotator)
            return
        if not texts:
            raise Unusable("there is no answer to judge")
        critique = "\n".join(self.reasons)
        for places in self.partial:
            self.context.note("Answers that a ranking does not name are left out of it")
            ranks = dense(list(places.values()))
            yield row_of(self.shown.prompt, [self.shown.answers[n] for n in places], [Ranking(ranks)], annotator, critique=critique)
        verdicts = [*self.verdicts, *self._gathered(len(texts))]
        if not verdicts and not self.partial and self.missed:
            raise Unusable(f"nothing else is said of the answers: {self.missed[0][0].lower()}{self.missed[0][1:]}")
        if verdicts or not self.partial:
            yield row_of(self.shown.prompt, texts, verdicts, annotator, critique=critique)

    def _gathered(self, count: int) -> Iterator[Verdict]:
        places = range(count)
        if self.ratings:
            yield Ratings(tuple(Rating(n, k, tuple(s.get(i) for i in places)) for (n, k), s in self.ratings.items()))
        if self.labels:
            yield Labels(tuple(Choice(n, tuple(s.get(i, ()) for i in places)) for n, s in self.labels.items()))
        if self.spans:
            yield Spans(tuple(self.spans))


def each_person(people: Iterable[Iterable[FeedbackRow]], context: Context) -> Iterator[FeedbackRow]:
    """The rows of everybody who judged. What is wrong with one person's answers does not cost the others'.

    Raises:
        Unusable: nobody's can be used.
    """
    found, first = 0, None
    for rows in people:
        try:
            listed = list(rows)
        except Unusable as reason:
            first = first or reason
            continue
        found += len(listed)
        yield from listed
    if first and not found:
        raise first
    if first:
        context.note("One person's answers to it cannot be used; those of others are")


def _thumb(word: str) -> bool | None:
    """A thumb's own words only: "good" and "no" may be labels of anything."""
    said = word.strip().casefold()
    return thumb_of(said) if said in ("up", "down") or "thumb" in said or "👍" in said or "👎" in said else None


def _prefers(question: str) -> bool:
    return any(word in question.casefold() for word in _PREFERS)


def _is_word(text: str, names: list[str]) -> bool:
    """Whether a text to a question such as "which is better" names an answer rather than being one."""
    return len(names) > 1 and len(text) <= _LABEL_CHARS and chosen(text, names) is not None


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


def levels_name(attribute: str) -> str:
    """Where our files keep a question's scale."""
    return f"scale-{slug(attribute)}"
