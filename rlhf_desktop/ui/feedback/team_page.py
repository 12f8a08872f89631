"""Several people, one project: who they are, how far they agree, and the disagreements to settle."""

from dataclasses import dataclass, replace
from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QLineEdit, QStackedWidget, QWidget

from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.feedback.quality import Alpha, Disagreement
from rlhf_desktop.operations.history import verdict_words
from rlhf_desktop.operations.quality import QualityReport, team_quality
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.profiles import Profile
from rlhf_desktop.ui import words
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.feedback.revising import RevisingPage
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Card, EmptyState, Meter, Page, clear, column, row
from rlhf_desktop.ui.widgets.text import ElidedLabel, caption

_MOST = 30  # disagreements listed; the rest follow as these are settled


@dataclass(frozen=True)
class Queue:
    """What is to be settled, and the prompt of each by the first answer shown."""

    disagreements: list[Disagreement]
    prompts: dict[str, str]


def _team(store: Store, project: Project) -> tuple[QualityReport, Queue]:
    report, found = team_quality(store, project)
    return report, Queue(found, store.conversations.questions(one.judgements[0].displayed[0] for one in found[:_MOST]))


class TeamPage(QStackedWidget):
    """The overview, or the disagreement being settled."""

    changed = Signal()

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self.page = Page(t.CONTENT_WIDTH)
        self.meter = Meter("Counting")
        self.meter.hide()
        self.page.body.addWidget(self.meter)
        self._content = column(spacing=t.SPACE_L)
        self.page.body.addLayout(self._content)
        self.page.body.addStretch(1)
        self.settling = RevisingPage(context)
        self.addWidget(self.page)
        self.addWidget(self.settling)
        self.settling.left.connect(self._settled)

    def refresh(self) -> None:
        """Count again, unless something is being settled."""
        if self.currentWidget() is self.settling:
            return
        context, project = self._context, self._context.session.project
        self.meter.set_value(0, 0, "Counting…")
        self.meter.show()
        store = context.store
        context.tasks.run(
            lambda: (*_team(store, project), {p.name: p for p in store.profiles.all()}),
            on_success=lambda found: self.show_team(*found) if project == context.session.project else None,
            on_failure=context.session.troubled.emit,
        )  # fmt: skip

    def show_team(self, report: QualityReport, queue: "Queue", profiles: dict[str, Profile]) -> None:
        """Show who there is and how they agree."""
        self.meter.hide()
        clear(self._content)
        mine = who_am_i(self._context.store)
        self._content.addWidget(self._people([mine, *(name for name in report.counts if name not in (mine, ""))], profiles))
        if len(report.counts) < 2:
            lines = (
                "Merge a colleague's bundle under Import / export, or take turns here under your own names (Settings). Some of "
                "what one of you judges in Label comes to the others too, and is compared here."
            )
            self._content.addWidget(EmptyState("user", "Nobody else has judged here yet", lines))
            return
        self._content.addWidget(_agreement(report))
        self._content.addWidget(self._queue(queue))

    def _people(self, names: list[str], profiles: dict[str, Profile]) -> Card:
        card = Card("People")
        grid = QGridLayout()
        grid.setHorizontalSpacing(t.SPACE_M)
        for place, name in enumerate(names):
            profile = profiles.get(name, Profile(name))
            role, credentials = QLineEdit(profile.role), QLineEdit(profile.credentials)
            for field, what in ((role, "Role"), (credentials, "Credentials")):
                field.setPlaceholderText(what)
                field.setAccessibleName(f"{what} of {name}")
                field.editingFinished.connect(partial(self._save, name, role, credentials))
            grid.addWidget(ElidedLabel(name, strong=True), place, 0)
            grid.addWidget(role, place, 1)
            grid.addWidget(credentials, place, 2)
        for section in range(3):
            grid.setColumnStretch(section, 1)
        card.body.addLayout(grid)
        card.body.addWidget(caption("Your own name is in Settings. Roles and credentials go into bundles and reports.", wrap=True))
        return card

    def _save(self, name: str, role: QLineEdit, credentials: QLineEdit) -> None:
        profile = Profile(name, role.text().strip(), credentials.text().strip())
        self._context.tasks.run(self._context.store.profiles.save, profile, on_failure=self._context.session.troubled.emit)

    def _queue(self, queue: "Queue") -> Card:
        card, found = Card("Disagreements to settle"), queue.disagreements
        if not found:
            card.body.addWidget(
                TermLabel("None: wherever two of you judged the same answers, you agree or it is settled.", wrap=True)
            )
        for disagreement in found[:_MOST]:
            line = row(spacing=t.SPACE_M)
            said = "   ·   ".join(
                f"{judgement.who}: {words_as_shown(judgement, disagreement)}" for judgement in disagreement.judgements
            )
            words_of = column(spacing=0)
            words_of.addWidget(ElidedLabel(queue.prompts.get(disagreement.judgements[0].displayed[0], ""), "caption", "muted"))
            words_of.addWidget(ElidedLabel(said))
            line.addLayout(words_of, 1)
            line.addWidget(caption(f"{disagreement.likeness:.0%} alike"))
            settle = Button("Settle", "normal")
            settle.setAccessibleName(f"Settle: {said}")
            settle.clicked.connect(lambda _on=False, one=disagreement: self.settle(one))
            line.addWidget(settle)
            card.body.addLayout(line)
        if len(found) > _MOST:
            card.body.addWidget(caption(f"and {len(found) - _MOST:,} more"))
        return card

    def settle(self, disagreement: Disagreement) -> None:
        """Judge the same answers for all: it stands for what the others said."""
        self.setCurrentWidget(self.settling)
        said = "   ·   ".join(f"{j.who}: {words_as_shown(j, disagreement)}" for j in disagreement.judgements)
        self.settling.settle(disagreement.judgements[0].displayed, said)

    def _settled(self) -> None:
        self.setCurrentWidget(self.page)
        self.refresh()


def words_as_shown(judgement: Judgement, disagreement: Disagreement) -> str:
    """What one person said, with the letters of the first one's order: others may have seen another order."""
    order = disagreement.judgements[0].displayed
    ranking = next((verdict for verdict in judgement.verdicts if isinstance(verdict, Ranking)), None)
    if ranking is None or judgement.displayed == order:
        return verdict_words(judgement)
    rank_of = dict(zip(judgement.displayed, ranking.ranks, strict=True))
    same = Ranking(tuple(rank_of[message] for message in order), ranking.strength)
    return verdict_words(replace(judgement, displayed=order, verdict=same, also=()))


def _agreement(report: QualityReport) -> Card:
    card = Card("How far you agree")
    if report.looked_at < report.judgements:
        newest = f"Among the newest {report.looked_at:,} of {report.judgements:,} judgements, as are the disagreements below."
        card.body.addWidget(caption(newest, wrap=True))
    card.body.addWidget(caption(f"{report.overlap.value:.0%} of the items were judged by more than one person.", wrap=True))
    for alpha in report.alphas:
        card.body.addWidget(TermLabel(_alpha_words(alpha), wrap=True))
    for pair in report.agreement:
        agreement = pair.agreement
        said = f"{pair.one} and {pair.other}: {agreement.value:.0%} alike ({agreement.low:.0%}–{agreement.high:.0%})"
        card.body.addWidget(TermLabel(f"{said}, on {words.count(agreement.n, 'item')}", wrap=True))
    return card


def _alpha_words(alpha: Alpha) -> str:
    """Krippendorff's α with the word for what such a value is good for."""
    name = f"{alpha.what[:1].upper()}{alpha.what[1:]}"
    if alpha.value is None:
        return f"{name}: nothing to compare yet."
    levels = ((0.2, "no better than chance"), (0.667, "weak"), (0.8, "usable"))
    level = next((word for least, word in levels if alpha.value < least), "good")
    between = f" ({_signed(alpha.low)} to {_signed(alpha.high)})" if alpha.low is not None and alpha.high is not None else ""
    one, several = ("pair of answers", "pairs of answers") if alpha.what == "order" else ("answer", "answers")
    return f"{name}: Krippendorff's α {_signed(alpha.value)}{between}, {level}; from {words.count(alpha.units, one, several)}"


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
