"""One judgement as it was displayed: the prompt, the answers in their places, all that was said, its versions."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QWidget

from rlhf_desktop.feedback.judgements import Correction, Judgement, Ranking, Spans
from rlhf_desktop.operations.history import LETTERS, HistoryItem, verdict_words, words_about
from rlhf_desktop.ui import words
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.judging.draft import CONFIDENCES
from rlhf_desktop.ui.judging.marks import MarkPane
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, Chip
from rlhf_desktop.ui.widgets.filefold import PromptText
from rlhf_desktop.ui.widgets.flow import Flow
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import Card, Page, clear, column, row
from rlhf_desktop.ui.widgets.text import Label, caption

_SPEAKERS = {"user": "Prompt", "system": "Instructions", "assistant": "Answer before"}
_PURPOSES = {"repeat": "a silent repeat", "adjudication": "settles a disagreement"}
_WHOLE = ("demonstration",)  # cannot be said differently: write another


class DetailPane(Page):
    """Emits what is asked for, with the judgement."""

    withdrawn = Signal(str)
    restored = Signal(str)
    revised = Signal(object)  # Judgement
    untagged = Signal(str, str)  # judgement, tag

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(t.CONTENT_WIDTH, parent)
        self.setAccessibleName("The judgement as it was displayed")
        self._item: HistoryItem | None = None
        self.body.setSpacing(t.SPACE_M)
        self._verdict = TermLabel("", "heading", wrap=True)
        self.body.addWidget(self._verdict)
        self._facts = caption("", wrap=True)
        self.body.addWidget(self._facts)
        head = Flow(t.SPACE_S)
        self.revise = Button("Revise", icon="edit")
        self.revise.setToolTip(keymap.tip("Judge again; the version before is kept", "edit"))
        self.withdraw, self.restore = Button("Withdraw", icon="undo"), Button("Restore", icon="refresh")
        for button in (self.revise, self.withdraw, self.restore):
            head.addWidget(button)
        self.revise.clicked.connect(lambda: self.revised.emit(self._judgement))
        self.withdraw.clicked.connect(lambda: self.withdrawn.emit(self._judgement.id))
        self.restore.clicked.connect(lambda: self.restored.emit(self._judgement.id))
        self.body.addLayout(head)
        self._tags = Flow(t.SPACE_XS)
        self.body.addLayout(self._tags)
        self._parts = column(spacing=t.SPACE_M)
        self.body.addLayout(self._parts)
        self.body.addStretch(1)
        self._coming: Iterator[QWidget] = iter(())
        self._clock = QTimer(self)  # of no time at all: between two parts the window lives
        self._clock.timeout.connect(self._add_part)

    @property
    def _judgement(self) -> Judgement:
        """The one shown: what there is to press is there only with it."""
        if self._item is None:
            raise RuntimeError("No judgement is shown")
        return self._item.row.judgement

    def show_item(self, item: HistoryItem, versions: Sequence[Judgement]) -> None:
        """Show a judgement, and the versions of it, oldest first: made part by part, seen at once when all are there."""
        self.viewport().setUpdatesEnabled(False)
        self._item = item
        judgement = item.row.judgement
        self._verdict.setText(item.row.verdict)
        self._facts.setText("  ·  ".join(_facts(item)))
        self.withdraw.setVisible(item.row.standing)
        self.restore.setVisible(not item.row.standing)
        self.revise.setVisible(item.row.standing and judgement.kind not in _WHOLE)
        self._show_tags(item.row.tags)
        clear(self._parts)
        self._coming = _parts(item, versions)
        self._clock.start()

    def show_nothing(self) -> None:
        """The list is empty, or what was shown is gone for good: none of its words stay on screen."""
        self._item, self._coming = None, iter(())
        self._verdict.clear()
        self._facts.clear()
        for button in (self.revise, self.withdraw, self.restore):
            button.hide()
        self._show_tags(())
        clear(self._parts)

    def _add_part(self) -> None:
        part = next(self._coming, None)
        if part is not None:
            self._parts.addWidget(part)
        else:
            self._clock.stop()
            self.viewport().setUpdatesEnabled(True)

    def _show_tags(self, tags: tuple[str, ...]) -> None:
        clear(self._tags)
        for tag in tags:
            chip = Chip(f"{tag}  ×", checkable=False)
            chip.setFocusPolicy(Button("").focusPolicy())
            chip.setAccessibleName(f"Remove the tag {tag}")
            chip.clicked.connect(lambda _on=False, tag=tag: self.untagged.emit(self._judgement.id, tag))
            self._tags.addWidget(chip)


def _parts(item: HistoryItem, versions: Sequence[Judgement]) -> Iterator[QWidget]:
    judgement = item.row.judgement
    for message in item.prompt:
        yield _turn(_SPEAKERS.get(message["role"], "Before"), message["content"])
    for place, text in enumerate(item.answers):
        yield _answer(item, place, text)
    for verdict in judgement.verdicts:
        if isinstance(verdict, Correction):
            yield _turn(f"{LETTERS[verdict.index]} corrected to", verdict.text)
    if judgement.critique:
        yield _turn("Why", judgement.critique)
    if len(versions) > 1:
        yield _versions(versions)


def _sureness(confidence: float | None) -> str:
    """In the word that was pressed; what came from elsewhere as a number."""
    if confidence is None:
        return ""
    return next((word for word, value in CONFIDENCES if value == confidence), f"{confidence:.0%} sure")


def _facts(item: HistoryItem) -> list[str]:
    judgement = item.row.judgement
    spent = f"took {words.duration(judgement.seconds_spent)}" if judgement.seconds_spent else ""
    sure = _sureness(judgement.confidence)
    guide = f"guidelines version {judgement.guideline_version}" if judgement.guideline_version else ""
    state = "" if item.row.standing else "taken back or replaced; it does not count"
    by = f"by {judgement.who}" if judgement.who else ""
    return [part for part in (by, spent, sure, guide, _PURPOSES.get(judgement.purpose, ""), state) if part]


def _turn(name: str, text: str) -> Card:
    card = Card(kind="turn")
    card.body.addWidget(caption(name))
    card.body.addWidget(PromptText(text, name))
    return card


def _answer(item: HistoryItem, place: int, text: str) -> Card:
    card = Card()
    verdicts = item.row.judgement.verdicts
    ranks = next((v.ranks for v in verdicts if isinstance(v, Ranking)), ())
    rank = ranks[place] if ranks else 0
    best = rank > 0 and rank == min(ranks)
    card.set_chosen(best)
    head = row()
    head.addWidget(Label(LETTERS[place], strong=True))
    head.addWidget(Label(words.place(rank, ranks) if rank else "", tone="accent" if best else "muted"), 1)
    head.addWidget(caption(item.writers[place]))
    card.body.addLayout(head)
    spans = tuple(span for v in verdicts if isinstance(v, Spans) for span in v.spans if span.index == place)
    if spans:
        pane = MarkPane(place, LETTERS[place], text, [], fixed=True)
        pane.show_spans(spans)
        card.body.addWidget(pane)
    else:
        card.body.addWidget(MarkdownView(text, f"Answer {LETTERS[place]}"))
    for line in words_about(item.row.judgement, place):
        card.body.addWidget(caption(line, wrap=True))
    return card


def _versions(versions: Sequence[Judgement]) -> Card:
    """What was said first, and what each later version changed."""
    card = Card("Versions", kind="turn")
    before: Judgement | None = None
    for number, version in enumerate(versions, start=1):
        when = words.moment(datetime.fromisoformat(version.created_at).timestamp())
        card.body.addWidget(TermLabel(f"{number}.  {verdict_words(version)}", strong=True, wrap=True))
        changed = "" if before is None else f"  ·  changed: {', '.join(differences(before, version)) or 'nothing'}"
        card.body.addWidget(caption(f"{when}, by {version.who}{'' if version.kind == 'withdrawn' else changed}", wrap=True))
        before = version if version.kind != "withdrawn" else before
    return card


def differences(before: Judgement, after: Judgement) -> list[str]:
    """What one version says differently from another, in words."""
    found = []
    earlier, later = ({v.kind: [w for w in j.verdicts if w.kind == v.kind] for v in j.verdicts} for j in (before, after))
    for kind in dict.fromkeys([*earlier, *later]):
        if earlier.get(kind) != later.get(kind):
            found.append(_KINDS.get(kind, kind))
    found += ["the reason"] if before.critique != after.critique else []
    return found + (["how sure"] if before.confidence != after.confidence else [])


_KINDS = {
    "ranking": "the order", "all_bad": "none will do", "thumbs": "thumbs", "ratings": "ratings", "labels": "labels",
    "spans": "marks", "correction": "the correction", "skip": "skipped", "flag": "flagged",
}  # fmt: skip
