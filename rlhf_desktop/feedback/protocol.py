"""A project's protocol: which forms of judgement its annotators are asked for. Edited in a form, kept as one JSON value.

The presets for medicine, law and finance ask for *accuracy* apart from the rest: an answer that reads well and is wrong is the
dangerous one there.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError, model_validator

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.runs import Value
from rlhf_desktop.feedback.judgements import Judgement, Kind, Rating
from rlhf_desktop.feedback.verdicts import MAX_LEVELS, MAX_NAME_CHARS

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NAME_CHARS)]
ONE_TO_FIVE = ("1", "2", "3", "4", "5")


class Attribute(Value):
    """Something answers are rated for, and the names of the scale's steps, worst first."""

    name: Name
    levels: list[Name] = Field(default=list(ONE_TO_FIVE), min_length=2, max_length=MAX_LEVELS)
    help: str = ""

    def rating(self, scores: Sequence[int | None]) -> Rating:
        """The marks of the displayed answers (1 is the first step), as a judgement keeps them."""
        return Rating(self.name, len(self.levels), tuple(scores))


class LabelQuestion(Value):
    """A question answered for each answer by choosing one label, or `several`."""

    name: Name
    labels: list[Name] = Field(min_length=2, max_length=50)
    several: bool = False
    help: str = ""


class SpanCategory(Value):
    """What a marked part of an answer can be."""

    name: Name
    help: str = ""


class Protocol(Value):
    """The forms of judgement in use, combinable at will.

    Attributes:
        answers: How many answers are written and shown for each prompt.
        comparison: "pairwise" (two answers, one key), "ranking" (any number, with ties), "buckets" (sorted into named groups, best
            first) or "none".
        strength: Ask how much better the better of two is.
        thumbs: A thumb up or down for each answer.
        attributes: Rated for each answer.
        labels: Asked of each answer.
        span_categories: Parts of answers can be marked as one of these; none: no marking.
        correction: Answers can be put right.
        demonstration: A whole answer can be written instead.
        reason: The free-text field for why.
        confidence: Ask how sure the annotator is.
        repeat_share: This share of items silently returns, in another order, to measure self-agreement.
        overlap_share: This share of the items a colleague judged in Label is judged by the others too, to measure agreement.
    """

    version: Literal[1] = 1
    name: Name = "General"
    answers: int = Field(4, ge=1, le=8)
    comparison: Literal["pairwise", "ranking", "buckets", "none"] = "ranking"
    buckets: list[Name] = Field(default=["Great", "Usable", "Bad"], min_length=2, max_length=8)
    strength: bool = False
    thumbs: bool = False
    attributes: list[Attribute] = Field(default=[], max_length=12)
    labels: list[LabelQuestion] = Field(default=[], max_length=12)
    span_categories: list[SpanCategory] = Field(default=[], max_length=20)
    correction: bool = True
    demonstration: bool = True
    reason: Literal["off", "optional", "required"] = "optional"
    confidence: bool = False
    repeat_share: float = Field(0.05, ge=0, le=0.5)
    overlap_share: float = Field(0.1, ge=0, le=1)

    @model_validator(mode="after")
    def _fits_together(self) -> "Protocol":
        for what, names in (
            ("attributes", [a.name for a in self.attributes]),
            ("questions", [q.name for q in self.labels]),
            ("kinds of mark", [c.name for c in self.span_categories]),
            ("groups", self.buckets),
        ):
            if len({name.casefold() for name in names}) != len(names):
                raise ValueError(f"two {what} have the same name")
        if self.comparison == "pairwise" and self.answers != 2:
            raise ValueError("pairwise judging shows two answers")
        if self.comparison != "none" and self.answers < 2:
            raise ValueError("comparing needs at least two answers")
        if not self.kinds:
            raise ValueError("nothing is asked of the annotator")
        return self

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The forms of judgement this protocol asks for or offers."""
        asked: list[tuple[Kind, bool]] = [
            ("ranking", self.comparison != "none"),
            ("all_bad", self.comparison != "none"),
            ("thumbs", self.thumbs),
            ("ratings", bool(self.attributes)),
            ("labels", bool(self.labels)),
            ("spans", bool(self.span_categories)),
            ("correction", self.correction),
            ("demonstration", self.demonstration),
        ]
        return tuple(kind for kind, wanted in asked if wanted)

    def missing(self, judgement: Judgement) -> str:
        """What the protocol requires and the judgement lacks, as a sentence; "" when it can be saved."""
        if judgement.kind in ("skip", "flag", "withdrawn", "demonstration"):
            return ""
        if self.comparison != "none" and not {"ranking", "all_bad"} & set(judgement.kinds):
            return "Say which answer is better."
        if self.reason == "required" and not judgement.critique.strip():
            return "Say why, in a few words."
        return ""


def protocol_from(value: object) -> Protocol:
    """A protocol from its JSON value.

    Raises:
        BadInput: says what does not fit, in words for the user.
    """
    try:
        return Protocol.model_validate(value)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = str(first["msg"]).removeprefix("Value error, ")
        message = f"These questions for annotators do not work: {f'{where}: ' if where else ''}{reason}."
        raise BadInput(message, "Change that field, then save again. The earlier ones are still in use.") from None


_ACCURACY = "Is everything it states true and up to date? Judge this apart from how well it reads."
_MEDICAL = ["dangerous", "wrong in part", "incomplete", "accurate", "accurate and complete"]
_LEGAL = ["wrong law", "wrong in part", "incomplete", "accurate", "accurate with authority"]
_FINANCE = ["wrong", "wrong in part", "incomplete", "accurate", "accurate with its limits"]


def _marks(*names: str) -> list[SpanCategory]:
    return [SpanCategory(name=name) for name in names]


PRESETS: dict[str, Protocol] = {
    preset.name: preset
    for preset in (
        Protocol(name="General"),
        Protocol(name="Quick pairs", answers=2, comparison="pairwise", correction=False, demonstration=False),
        Protocol(name="Pairs with strength", answers=2, comparison="pairwise", strength=True, confidence=True),
        Protocol(name="Sorting into groups", comparison="buckets"),
        Protocol(name="Thumbs", answers=1, comparison="none", thumbs=True),
        Protocol(
            name="Writing",
            answers=2,
            comparison="pairwise",
            attributes=[Attribute(name="clarity"), Attribute(name="tone"), Attribute(name="length fits")],
            span_categories=_marks("awkward", "off tone", "padding"),
        ),
        Protocol(
            name="Medicine",
            attributes=[
                Attribute(name="accuracy", levels=_MEDICAL, help=_ACCURACY),
                Attribute(name="safety", help="Does it warn, and send to a professional, when it must?"),
                Attribute(name="helpfulness"),
            ],
            labels=[LabelQuestion(name="Refers to care", labels=["not needed", "rightly", "missing", "needlessly"])],
            span_categories=_marks("factual error", "unsafe advice", "missing warning", "unsupported claim"),
            reason="required",
            confidence=True,
        ),
        Protocol(
            name="Law",
            attributes=[
                Attribute(name="accuracy", levels=_LEGAL, help=_ACCURACY),
                Attribute(name="jurisdiction fits"),
                Attribute(name="helpfulness"),
            ],
            labels=[LabelQuestion(name="Authority cited", labels=["none needed", "real", "invented", "missing"])],
            span_categories=_marks("wrong law", "invented citation", "overconfident", "missing exception"),
            reason="required",
            confidence=True,
        ),
        Protocol(
            name="Finance",
            attributes=[
                Attribute(name="accuracy", levels=_FINANCE, help=_ACCURACY),
                Attribute(name="risk disclosed"),
                Attribute(name="helpfulness"),
            ],
            labels=[LabelQuestion(name="Is it advice?", labels=["information", "general advice", "personal advice"])],
            span_categories=_marks("wrong figure", "promise of return", "missing risk", "unsupported claim"),
            reason="required",
            confidence=True,
        ),
    )
}
