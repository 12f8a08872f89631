"""Decides what happens while answers are judged, in Chat, in Label and when a judgement is revised. Knows no widget."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypedDict

from PySide6.QtCore import QObject, QTimer, Signal

from rlhf_desktop.core.errors import AppError, BadInput
from rlhf_desktop.feedback.judgements import (
    Flag,
    Judgement,
    Purpose,
    Skip,
    Span,
    Verdict,
    in_order,
    revision,
)
from rlhf_desktop.feedback.protocol import Protocol
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.chat.turns import model_name
from rlhf_desktop.ui.context import Session
from rlhf_desktop.ui.judging.asking import covering, protocol_for
from rlhf_desktop.ui.judging.draft import CONFIDENCES, Draft, saves_at_once
from rlhf_desktop.ui.judging.ranking import RankingState

_ALL_SHOWN = "judging bar: all shown"
_TYPING_MS = 250  # a typed reason is kept this soon after the last letter


class _Said(TypedDict):
    """What is said of a judgement beside its verdicts: fields of `Judgement`."""

    critique: str
    confidence: float | None
    seconds_spent: float | None
    guideline_version: int


@dataclass(frozen=True)
class Showing:
    """Answers shown to be judged, in displayed order.

    Attributes:
        conversation: Where they are.
        displayed: Their message ids.
        texts: What they say.
        finishes: How each ended: "end", "length", "cancelled", or "" when nobody knows.
        models: Who wrote them; hidden until they are judged.
        protocol: What is asked about them.
        guideline_version: The guideline in force.
        key: The draft's name in the store.
        purpose: Why they are shown.
        revises: The judgement being revised, or None.
        spent_s: Time spent on them before.
    """

    conversation: str
    displayed: tuple[str, ...]
    texts: tuple[str, ...]
    finishes: tuple[str, ...]
    models: tuple[str, ...]
    protocol: Protocol
    guideline_version: int
    key: str
    purpose: Purpose = "label"
    revises: Judgement | None = None
    spent_s: float = 0.0


@dataclass(frozen=True)
class Saved:
    """A judgement just stored. `best` is the place of the best answer, -1 when there is none; `text` what it should have said."""

    judgement: Judgement
    showing: Showing
    best: int
    text: str = ""


class Judging(QObject):
    """One item at a time: shown, drafted, saved or put away."""

    began = Signal(object)  # Showing
    changed = Signal(object)  # Draft
    currentChanged = Signal(int)  # the answer that keys without a number are about
    lacking = Signal(str)  # why it cannot be saved yet
    ended = Signal()  # nothing is judged any more
    saved = Signal(object)  # Saved, after `ended`
    troubled = Signal(object)  # AppError

    def __init__(
        self,
        store: Store,
        session: Session,
        who: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._store, self._session, self._who, self._clock = store, session, who, clock
        self.showing: Showing | None = None
        self.draft = Draft.blank(0)
        self.current = 0
        self._since = 0.0
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(_TYPING_MS)
        self._typing.timeout.connect(self.keep)

    # --- beginning and ending

    def begin(self, displayed: tuple[str, ...], key: str, purpose: Purpose = "label") -> None:
        """Show stored answers, with the draft that was left of them."""
        self.put_away()
        kept = self._store.drafts.get(self._project, self._who(), key)
        if kept and sorted(kept["displayed"]) == sorted(displayed):
            displayed = tuple(kept["displayed"])  # in the order they were judged in
        else:
            kept = None
        showing = self._showing(displayed, key, purpose)
        if kept:
            self._begin(replace(showing, spent_s=kept["spent_s"]), Draft.from_json(kept["draft"]))
        else:
            self._begin(showing, Draft.blank(len(displayed)))

    def take_up(self, judgement: Judgement, key: str) -> None:
        """Show what was judged and taken back, as it had been said. A pair that saves on one key waits for its key again."""
        self.put_away()
        showing = replace(self._showing(judgement.displayed, key, judgement.purpose), spent_s=judgement.seconds_spent or 0.0)
        draft = Draft.of(judgement)
        if draft.count == 2 and saves_at_once(showing.protocol):
            draft = replace(draft, ranking=RankingState(2))
        self._begin(showing, draft)

    def revise(self, judgement: Judgement) -> None:
        """Show what was judged; saving replaces it."""
        self.put_away()
        showing = self._showing(judgement.displayed, f"revise:{judgement.id}", judgement.purpose)
        self._begin(replace(showing, revises=judgement, protocol=covering(showing.protocol, judgement)), Draft.of(judgement))

    def put_away(self) -> None:
        """Judge nothing. What was said so far is kept as a draft."""
        if self.showing is not None:
            self.settle()
            self.showing = None
            self.ended.emit()

    def settle(self) -> None:
        """Write down what was typed a moment ago: the room is left, or the window closed."""
        if self._typing.isActive():
            self.keep()

    def _showing(self, displayed: tuple[str, ...], key: str, purpose: Purpose) -> Showing:
        store = self._store
        tree = store.conversations.tree(store.conversations.message(displayed[0]).conversation_id)
        nodes = [tree.node(message_id) for message_id in displayed]
        generators = store.conversations.generators({node.generator_id for node in nodes if node.generator_id})
        guideline = store.guidelines.current(self._project)
        return Showing(
            conversation=tree.conversation.id,
            displayed=displayed,
            texts=tuple(node.content for node in nodes),
            finishes=tuple(node.finish or "" for node in nodes),
            models=tuple(model_name(generators.get(node.generator_id or "")) for node in nodes),
            protocol=protocol_for(store.protocols.get(self._project), len(displayed)),
            guideline_version=guideline.version if guideline else 0,
            key=key,
            purpose=purpose,
        )

    def _begin(self, showing: Showing, draft: Draft) -> None:
        own = None if draft.own or showing.revises else self._store.drafts.get(self._project, self._who(), self._own_key(showing))
        draft = replace(draft, own=own["text"]) if own else draft
        self.showing, self.draft, self.current = showing, draft, 0
        self._since = self._clock()
        self.began.emit(showing)
        self.changed.emit(draft)
        self.currentChanged.emit(0)

    # --- what the user does

    def choose(self, answer: int) -> None:
        """Keys without a number are about this answer now."""
        if self.showing and 0 <= answer < self.draft.count and answer != self.current:
            self.current = answer
            self.currentChanged.emit(answer)

    def press(self, number: int) -> None:
        """A number key or an answer's own button: the next best; with groups, the group of the current answer."""
        showing = self.showing
        if showing is None:
            return
        if showing.protocol.comparison == "buckets":
            self.group(self.current, number + 1)
        elif showing.protocol.comparison != "none" and number < self.draft.count:
            self._advance(self.draft.press(number, showing.protocol))

    def group(self, answer: int, group: int) -> None:
        """Sort an answer into a group; the next answer without one is current then."""
        if self.showing is None or not 1 <= group <= len(self.showing.protocol.buckets):
            return
        self._change(self.draft.grouped(answer, group))
        left = [place for place, into in enumerate(self.draft.groups) if not into]
        if left:
            self.choose(next((place for place in left if place > answer), left[0]))

    def tie(self) -> None:
        """The next answer equals the last one."""
        self._rank(RankingState.tie)

    def reject_all(self) -> None:
        """None of them will do."""
        self._rank(RankingState.reject_all)

    def _rank(self, how: Callable[[RankingState], RankingState]) -> None:
        if self.showing and self.showing.protocol.comparison != "none":
            self._advance(self.draft.ranked(how(self.draft.ranking)))

    def back(self) -> None:
        """Take back the last key."""
        if self.showing and self.showing.protocol.comparison == "buckets" and not self.draft.ranking.all_bad:
            given = [place for place, into in enumerate(self.draft.groups) if into]
            if given:
                self._change(self.draft.grouped(given[-1], 0))
                self.choose(given[-1])
        elif self.showing:
            self._change(self.draft.ranked(self.draft.ranking.back()))

    def drop(self, answer: int, bucket: int, beside: bool) -> None:
        """An answer was dragged. Saved with Enter, pairs too: a drag is easily a slip."""
        if self.showing and self.showing.protocol.comparison == "buckets":
            self.group(answer, bucket + 1)
        else:
            self._change(self.draft.ranked(self.draft.ranking.drop(answer, bucket, beside)))

    def set_strength(self, strength: int) -> None:
        """How much better the better one is."""
        self._change(replace(self.draft, strength=strength))

    def thumb(self, answer: int, up: bool) -> None:
        """A thumb; the same again takes it away. The only thing asked about a single answer: saved at once."""
        self._change(self.draft.thumbed(answer, None if self.draft.thumbs[answer] is up else up))
        if self.showing and self._only_thumbs(self.showing.protocol) and self.draft.thumbs[answer] is not None:
            self.submit()

    @staticmethod
    def _only_thumbs(protocol: Protocol) -> bool:
        more = protocol.attributes or protocol.labels or protocol.confidence or protocol.reason == "required"
        return protocol.answers == 1 and protocol.thumbs and not more

    def score(self, attribute: str, answer: int, score: int | None) -> None:
        """A mark for an attribute."""
        self._change(self.draft.scored(attribute, answer, score))

    def label(self, question: str, answer: int, labels: tuple[str, ...]) -> None:
        """An answer's labels."""
        self._change(self.draft.labelled(question, answer, labels))

    def correct(self, answer: int, text: str) -> None:
        """What the answer should have said; the answer's own words again mean no correction."""
        if self.showing:
            same = not text.strip() or text.strip() == self.showing.texts[answer].strip()
            self.draft = self.draft.corrected(answer, None if same else text)
            self.keep()
            self.changed.emit(self.draft)  # always: as it was typed it was kept, and shown nowhere

    def correcting(self, answer: int, text: str) -> None:
        """A correction as it is typed: kept, and shown once it is finished."""
        if self.showing:
            self.draft = self.draft.corrected(answer, text.strip() and text)
            self._typing.start()

    def mark(self, span: Span) -> None:
        """Mark a part of an answer."""
        self._change(self.draft.marked(span))

    def unmark(self, span: Span) -> None:
        """Take a mark away."""
        self._change(self.draft.unmarked(span))

    def set_why(self, text: str) -> None:
        """The reason, as it is typed."""
        if self.showing and text != self.draft.why:
            self.draft = replace(self.draft, why=text)
            self._typing.start()

    def set_own(self, text: str) -> None:
        """An answer of the user's own, as it is typed."""
        if self.showing and text != self.draft.own:
            self.draft = replace(self.draft, own=text)
            self._typing.start()

    def set_confidence(self, confidence: float | None) -> None:
        """How sure the user is."""
        self._change(replace(self.draft, confidence=confidence))

    def next_confidence(self) -> None:
        """The key: not said, a guess, fairly sure, certain, not said."""
        if self.showing and self.showing.protocol.confidence:
            steps = [None, *(value for _words, value in CONFIDENCES)]
            place = steps.index(self.draft.confidence) if self.draft.confidence in steps else 0
            self.set_confidence(steps[(place + 1) % len(steps)])

    def set_guideline(self, version: int) -> None:
        """The guidelines have changed while an item is on screen."""
        if self.showing:
            self.showing = replace(self.showing, guideline_version=version)

    def _advance(self, draft: Draft) -> None:
        if draft == self.draft:
            return
        self._change(draft)
        if self.showing and draft.count == 2 and draft.compared(self.showing.protocol) and saves_at_once(self.showing.protocol):
            self.submit()

    def _change(self, draft: Draft) -> None:
        if self.showing and draft != self.draft:
            self.draft = draft
            self.keep()
            self.changed.emit(draft)

    def keep(self) -> None:
        """Write the draft down."""
        self._typing.stop()
        if self.showing is None:
            return
        value = {"displayed": list(self.showing.displayed), "draft": self.draft.to_json(), "spent_s": self._spent()}
        try:
            self._store.drafts.save(self._project, self._who(), self.showing.key, value)
        except AppError as trouble:
            self.troubled.emit(trouble)

    # --- the bar

    @property
    def all_shown(self) -> bool:
        """Whether the bar below the answers shows all that can be said, or one line."""
        return bool(self._store.settings.get(_ALL_SHOWN, False))

    def show_all(self, on: bool) -> None:
        """Keep what the user chose."""
        self._store.settings.set(_ALL_SHOWN, on)

    # --- saving

    def submit(self) -> bool:
        """Save what was said. False when something is missing; `lacking` says what."""
        showing = self.showing
        if showing is None:
            return False
        verdicts = self.draft.verdicts(showing.protocol)
        missing = "" if self.draft.compared(showing.protocol) else "Say which answer is better first."
        if missing or not verdicts:
            self.lacking.emit(missing or "Nothing has been said about this answer yet.")
            return False
        try:
            judgement = self._judgement(showing, verdicts)
            missing = showing.protocol.missing(judgement)
            if missing:
                self.lacking.emit(missing)
                return False
            self._store_it(judgement, showing)
        except AppError as trouble:
            self.troubled.emit(trouble)
            return False
        best = self.draft.best(showing.protocol)
        corrections = self.draft.corrections
        text = corrections.get(best, "") if best >= 0 else next(iter(corrections.values()), "")
        self._finish(Saved(judgement, showing, best, text), self.draft.outcome(showing.protocol))
        return True

    def skip(self, reason: str = "") -> None:
        """Choose not to judge."""
        self._alone(Skip(reason), "Skipped")

    def flag(self, reason: str = "") -> None:
        """Something is wrong with the prompt or the answers."""
        self._alone(Flag(reason or self.draft.why.strip()), "Flagged")

    def _alone(self, verdict: Verdict, words: str) -> None:
        showing = self.showing
        if showing is None:
            return
        try:
            judgement = self._judgement(showing, [verdict])
            self._store_it(judgement, showing)
        except AppError as trouble:
            self.troubled.emit(trouble)
            return
        self._finish(Saved(judgement, showing, -1), words, "")

    def demonstrate(self, text: str) -> None:
        """Keep an answer written from scratch, instead of judging these."""
        showing = self.showing
        if showing is None or not text.strip():
            return
        parent = self._store.conversations.message(showing.displayed[0]).parent_id
        if parent is None:
            self.troubled.emit(BadInput("This answer opens a conversation: it answers nothing.", "Write to one below it."))
            return
        spent = {"seconds_spent": self._spent(), "guideline_version": showing.guideline_version}
        try:
            with self._store.connection.transaction():
                judgement = self._store.demonstrate(self._project, parent, text.strip(), self._who(), **spent)
                for key in (showing.key, self._own_key(showing)):
                    self._store.drafts.discard(self._project, self._who(), key)
        except AppError as trouble:
            self.troubled.emit(trouble)
            return
        self._finish(Saved(judgement, showing, -1), "1 example")

    def _judgement(self, showing: Showing, verdicts: list[Verdict]) -> Judgement:
        said: _Said = {
            "critique": self.draft.why.strip(),
            "confidence": self.draft.confidence,
            "seconds_spent": self._spent(),
            "guideline_version": showing.guideline_version,
        }
        if showing.revises:
            return revision(showing.revises, self._who(), verdicts, **said)
        main, *also = in_order(verdicts)
        return Judgement(self._project, self._who(), showing.displayed, main, also=tuple(also), purpose=showing.purpose, **said)

    def _store_it(self, judgement: Judgement, showing: Showing) -> None:
        with self._store.connection.transaction():
            self._store.judgements.add(judgement)
            self._store.drafts.discard(self._project, self._who(), showing.key)
            if not showing.revises:
                self._keep_own(showing)

    def _keep_own(self, showing: Showing) -> None:
        """An own answer that was begun and not saved goes on being a draft of its prompt, whatever was said of the others."""
        project, who, key = self._project, self._who(), self._own_key(showing)
        if self.draft.own.strip():
            self._store.drafts.save(project, who, key, {"text": self.draft.own})
        else:
            self._store.drafts.discard(project, who, key)

    def _own_key(self, showing: Showing) -> str:
        return f"own:{self._store.conversations.message(showing.displayed[0]).parent_id}"

    def _finish(self, saved: Saved, outcome: str, lead: str = "Saved: ") -> None:
        self._typing.stop()
        self.showing = None
        self.ended.emit()
        self.saved.emit(saved)
        self._session.feedbackChanged.emit()
        kept = self.draft.own.strip() and saved.judgement.kind != "demonstration" and not saved.showing.revises
        more = ". The answer you began yourself is kept as a draft" if kept else ""
        self._session.announce(f"{lead}{outcome}{more}", lambda: self.take_back(saved.judgement), "judgement")

    def take_back(self, judgement: Judgement) -> None:
        """Withdraw a judgement; whoever showed it shows it again."""
        self._store.judgements.withdraw(judgement.id, self._who())
        self._session.feedbackChanged.emit()
        self._session.judgementTakenBack.emit(judgement)

    def _spent(self) -> float:
        return round((self.showing.spent_s if self.showing else 0.0) + self._clock() - self._since, 2)

    @property
    def _project(self) -> str:
        return self._session.project.id
