"""Which protocol holds for the answers on screen. Qt-free."""

from rlhf_desktop.feedback.judgements import Choice, Correction, Judgement, Labels, Ranking, Ratings, Spans, Thumbs
from rlhf_desktop.feedback.protocol import Attribute, LabelQuestion, Protocol, SpanCategory


def protocol_for(protocol: Protocol, answers: int) -> Protocol:
    """The protocol as it applies to so many answers: one cannot be compared, and three are no pair."""
    if answers == 1:
        return protocol.model_copy(update={"comparison": "none", "answers": 1})
    if protocol.comparison == "pairwise" and answers > 2:
        return protocol.model_copy(update={"comparison": "ranking", "answers": answers})
    return protocol


def covering(protocol: Protocol, judgement: Judgement) -> Protocol:
    """The protocol with whatever a judgement says that it does not ask: revising must not drop what was said."""
    more: dict[str, object] = {}
    for verdict in judgement.verdicts:
        if isinstance(verdict, Ranking) and protocol.comparison == "none":
            more["comparison"] = "ranking"
        elif isinstance(verdict, Thumbs):
            more["thumbs"] = True
        elif isinstance(verdict, Correction):
            more["correction"] = True
        elif isinstance(verdict, Ratings):
            known = {attribute.name for attribute in protocol.attributes}
            scales = [Attribute(name=r.attribute, levels=[str(n + 1) for n in range(r.levels)]) for r in verdict.ratings]
            more["attributes"] = [*protocol.attributes, *(scale for scale in scales if scale.name not in known)]
        elif isinstance(verdict, Labels):
            asked = {question.name for question in protocol.labels}
            new = [_question(choice) for choice in verdict.choices if choice.question not in asked]
            more["labels"] = [*protocol.labels, *new]
        elif isinstance(verdict, Spans):
            named = {category.name for category in protocol.span_categories}
            used = dict.fromkeys(span.category for span in verdict.spans)
            more["span_categories"] = [*protocol.span_categories, *(SpanCategory(name=n) for n in used if n not in named)]
    return protocol.model_copy(update=more)


def _question(choice: Choice) -> LabelQuestion:
    labels = list(dict.fromkeys(label for labels in choice.chosen for label in labels))
    return LabelQuestion(name=choice.question, labels=[*labels, "other"][: max(2, len(labels))], several=True)
