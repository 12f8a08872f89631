"""The Train room's first page: four recipes, the start panel under them, and every run."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QWidget

from rlhf_desktop.core.recipes import Algorithm
from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.jobs.adapters import AdapterInfo
from rlhf_desktop.jobs.queue import RunSummary
from rlhf_desktop.operations.estimates import Estimate
from rlhf_desktop.operations.outlook import UNTAUGHT, Outlook
from rlhf_desktop.operations.rounds import LearningHint
from rlhf_desktop.ui import words
from rlhf_desktop.ui.form_drafts import FormDrafts
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.train.comparepage import MOST
from rlhf_desktop.ui.train.recipecard import RecipeCard, RecipeLine
from rlhf_desktop.ui.train.runlist import RunList
from rlhf_desktop.ui.train.startpanel import StartPanel
from rlhf_desktop.ui.train.wording import RECIPES
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Notice, Page, column, row
from rlhf_desktop.ui.widgets.text import caption, heading, title

_ON_A_LINE: tuple[Algorithm, ...] = ("kto",)  # the four that most people need are cards


@dataclass(frozen=True)
class TrainFacts:
    """What the page shows, read off the GUI thread."""

    outlook: Outlook  # how much there is, and what is next
    runs: Sequence[RunSummary]
    adapters: Sequence[AdapterInfo]  # of the project's base model, newest first
    waiting: Sequence[str]  # ids of the runs that wait, in their order
    archived: Set[str] = frozenset()  # ids of the runs that are put away
    hints: Mapping[Algorithm, LearningHint] = field(default_factory=dict)  # what more feedback would buy, where that is known
    chains: Mapping[str, Sequence[str]] = field(default_factory=dict)  # adapter's hash → names from the first run to it
    costs: Mapping[Algorithm, Estimate] = field(default_factory=dict)  # what a run with the defaults would take, roughly


class Overview(Page):
    """Shows `TrainFacts`. Emits `startRequested`, `opened` and `asked`."""

    startRequested = Signal(object)  # a checked StartRequest
    planChanged = Signal(object)  # a checked StartRequest, whenever the open panel's choices make one
    measureRequested = Signal()
    opened = Signal(str)
    compared = Signal(list)  # run ids
    asked = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(t.WIDE_WIDTH, parent)
        self._facts: TrainFacts | None = None
        self._current: AdapterRef | None = None
        self._base_name = ""
        self._suggested: Algorithm | None = None
        self._counted: dict[Algorithm, Estimate] = {}  # with the usual settings, by a look before a start
        self._counted_of: tuple[object, ...] = ()
        self.drafts: FormDrafts | None = None  # where what is chosen and not started is kept
        self._open: tuple[Algorithm, Estimate] | None = None  # what the open panel says its run will take
        head = column(spacing=t.SPACE_XS)
        head.addWidget(title("Train"))
        head.addWidget(
            TermLabel("Turn your feedback into a better model. Your base model is never changed.", tone="muted", wrap=True)
        )
        self.next = TermLabel("", strong=True, wrap=True)  # as in the header
        head.addWidget(self.next)
        self.body.addLayout(head)
        self.notice = Notice("info", "")
        self.notice.hide()
        self.body.addWidget(self.notice)
        self._grid = QGridLayout()
        self._grid.setSpacing(t.SPACE_M)
        self._columns = 0
        self.cards = {name: RecipeLine(recipe) if name in _ON_A_LINE else RecipeCard(recipe) for name, recipe in RECIPES.items()}
        for card in self.cards.values():
            card.chosen.connect(self.open_panel)
            if isinstance(card, RecipeCard):
                card.resized.connect(self._level)
        self.body.addLayout(self._grid)
        self._arrange(len(self._cards_in_grid()))
        for name in _ON_A_LINE:
            self.body.addWidget(self.cards[name])
        self._panel_place = column()
        self.body.addLayout(self._panel_place)
        self.panel: StartPanel | None = None
        self.body.addSpacing(t.SPACE_S)
        self.body.addLayout(self._runs_head())
        self._none = TermLabel(
            "Nothing has been trained in this project yet. Runs wait here, one at a time, and go on without the window.",
            tone="muted",
        )
        self._none.setWordWrap(True)
        self.body.addWidget(self._none)
        self.runs = RunList()
        self.runs.opened.connect(self.opened)
        self.runs.asked.connect(self.asked)
        self.runs.pickedChanged.connect(self._show_picked)
        self._show_picked()
        self.body.addWidget(self.runs)
        self.body.addStretch(1)

    def show_facts(self, facts: TrainFacts, base_name: str, current: AdapterRef | None) -> None:
        """Show what there is now."""
        self._facts, self._base_name, self._current = facts, base_name, current
        outlook = facts.outlook
        self._forget_counted(outlook)
        self._suggested = outlook.suggested
        self.next.setText(f"{outlook.step.sentence}.")
        for algorithm, card in self.cards.items():
            card.show_amount(outlook.amounts[algorithm], algorithm == self._suggested, self._more(algorithm))
            self._show_cost(algorithm)
        self._arrange_for_width()
        self._show_roles()
        self._show_notice(base_name, outlook.untaught)
        self.archived.set_text(f"Archived ({len(facts.archived)})")
        self.archived.setVisible(bool(facts.archived))
        self._show_runs()

    def show_estimate(self, algorithm: Algorithm, counted: Estimate, usual: bool) -> None:
        """What a look before the start has counted: card and panel say the same; the card for good if with the `usual` settings."""
        self._open = algorithm, counted
        if usual:
            self._counted[algorithm] = counted
        self._show_cost(algorithm)

    def _forget_counted(self, outlook: Outlook) -> None:
        """What was counted holds as long as there is the same to learn from, for the same base model."""
        of = (outlook.amounts, self._base_name)
        if of != self._counted_of:
            self._counted, self._counted_of = {}, of

    def _show_cost(self, algorithm: Algorithm) -> None:
        if self._facts is not None:
            known = self._counted.get(algorithm, self._facts.costs.get(algorithm))
            if self._open is not None and self._open[0] == algorithm:
                known = self._open[1]
            self.cards[algorithm].show_cost(_cost(known, algorithm, self._facts.runs))

    def _more(self, algorithm: Algorithm) -> str:
        """What else is known: why PPO is not worth its time yet, what more comparisons would buy."""
        if self._facts is None:
            return ""
        if algorithm == "ppo":
            return self._facts.outlook.caution
        hint = self._facts.hints.get(algorithm)
        return hint.sentence if hint else ""

    def _cards_in_grid(self) -> list[RecipeCard]:
        return [card for card in self.cards.values() if isinstance(card, RecipeCard)]

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The cards stand in one row, or in two where that is too narrow for their words."""
        super().resizeEvent(event)
        self._arrange_for_width()

    def _arrange_for_width(self) -> None:
        cards = self._cards_in_grid()
        least = max(card.minimumSizeHint().width() for card in cards)
        room = self.viewport().width() - 2 * t.SPACE_XL
        self._arrange(len(cards) if len(cards) * (least + t.SPACE_M) - t.SPACE_M <= room else len(cards) // 2)

    def _arrange(self, columns: int) -> None:
        if columns == self._columns:
            return
        self._columns = columns
        for place, card in enumerate(self._cards_in_grid()):
            self._grid.addWidget(card, place // columns, place % columns)
            self._grid.setColumnStretch(place, 1 if place < columns else 0)

    def _level(self) -> None:
        """The meters stand side by side, however long the sentences above them are."""
        cards = self._cards_in_grid()
        most = max(card.sentence_height() for card in cards)
        for card in cards:
            card.set_sentence_height(most)

    def _show_runs(self) -> None:
        if self._facts is None:
            return
        shown = [run for run in self._facts.runs if self.archived.isChecked() or run.id not in self._facts.archived]
        self.runs.show_runs(shown, self._facts.waiting)
        self._none.setVisible(not self._facts.runs)
        self._show_picked()

    def _runs_head(self) -> QHBoxLayout:
        line = row()
        line.addWidget(heading("Runs"), 1)
        self._picked_words = caption("")
        self.compare = Button("Compare side by side", icon="layers")
        self.compare.clicked.connect(lambda: self.compared.emit(self.runs.picked()))
        self.archived = Button("Archived", "quiet", "folder")
        self.archived.setCheckable(True)
        self.archived.toggled.connect(self._show_runs)
        for part in (self._picked_words, self.compare, self.archived):
            line.addWidget(part)
        return line

    def _show_picked(self) -> None:
        """Two to four chosen runs can be compared."""
        many = len(self.runs.picked())
        self.compare.setVisible(many > 0)
        self.compare.setEnabled(2 <= many <= MOST)
        self._picked_words.setText("Choose another one" if many == 1 else f"At most {MOST}" if many > MOST else "")

    def _show_notice(self, base_name: str, untaught: bool) -> None:
        missing = not base_name
        self.notice.setVisible(missing or untaught)
        if untaught:
            self.notice.say("info", UNTAUGHT)
        if missing:
            self.notice.say("info", "Choose a base model first: a run needs one to build on.", button="Open Models")
        for card in self.cards.values():
            card.button.setEnabled(not missing)

    def open_panel(self, algorithm: Algorithm) -> None:
        """Open the start panel of a recipe under the cards."""
        if self._facts is None:
            return
        self.close_panel()
        policies = [info.ref for info in self._facts.adapters if info.kind == "policy"]
        rewards = [info.ref for info in self._facts.adapters if info.kind == "reward"]
        taken = {run.title for run in self._facts.runs}
        draft = self.drafts.get(_draft_of(algorithm)) if self.drafts is not None else None
        chains = self._facts.chains
        self.panel = StartPanel(algorithm, self._base_name, policies, rewards, taken, self._current, chains, draft)
        if self.drafts is not None:
            self.drafts.watch(_draft_of(algorithm), self.panel.kept)
        self.panel.started.connect(self.startRequested)
        self.panel.planChanged.connect(self.planChanged)
        self.panel.preflight.measureAsked.connect(self.measureRequested)
        self.panel.cancelled.connect(self.close_panel)
        self._panel_place.addWidget(self.panel)
        self._show_roles()
        self.panel.focus_first()
        QTimer.singleShot(0, self._reveal_panel)

    def _reveal_panel(self) -> None:
        if self.panel is not None:
            self.ensureWidgetVisible(self.panel.button, 0, t.SPACE_XL)

    def _show_roles(self) -> None:
        """While the panel is open its Start is the primary action, and its card the outlined one."""
        outlined = self.panel.algorithm if self.panel else self._suggested
        for algorithm, card in self.cards.items():
            card.set_role(algorithm == outlined, self.panel is None and algorithm == self._suggested)

    def close_panel(self) -> None:
        """Close the start panel; what is chosen in it comes back with it."""
        if self.panel is None:
            return
        self.panel.kept.settle()
        self.panel.hide()
        self.panel.deleteLater()
        closed = self.panel.algorithm
        self.panel = self._open = None
        self._show_cost(closed)
        self._show_roles()


def _draft_of(algorithm: Algorithm) -> str:
    return f"start {algorithm}"


def _cost(foreseen: Estimate | None, algorithm: Algorithm, runs: Sequence[RunSummary]) -> str:
    """What a run would take as far as that is known, and what the last complete one took."""
    about = f"About {', '.join(filter(None, (foreseen.time_words, foreseen.memory_words)))}" if foreseen else ""
    said = "  ·  ".join(filter(None, (about, _last_time(algorithm, runs))))
    return said[:1].upper() + said[1:]


def _last_time(algorithm: Algorithm, runs: Sequence[RunSummary]) -> str:
    last = next((run for run in runs if run.algorithm == algorithm and run.state == "done" and run.result.get("wall_s")), None)
    if last is None:
        return ""
    peak = last.result.get("peak_rss_bytes")
    memory = f", {words.size(peak)}" if peak else ""
    return f"last time {words.duration(last.result['wall_s'] or 0)}{memory}"
