"""Side effects of a training: what else has changed, each before and after with its interval, and what is worth a look."""

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QWidget

from rlhf_desktop.evaluation.probes import Effect
from rlhf_desktop.operations.plain_words import in_units, is_share
from rlhf_desktop.operations.probes import SideEffects
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import current
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import Card, Meter, clear, column, row
from rlhf_desktop.ui.widgets.text import IconLabel, Label, caption

_COLUMNS = 3
_WHAT = (
    "A model that pleases more may also have become shorter, more repetitive, too careful, or eager to agree. Some fixed questions "
    "show it, before and after. It takes about a minute a model, in the background."
)
_NOTE = (
    "Bars are 99% intervals. Agreeing is measured in nats: how much likelier it is to side with a wrong guess of yours than to "
    "correct it. Perplexity is its surprise at neutral texts: lower is better."
)


class EffectsCard(Card):
    """Asks for the measurement, shows its progress, then a dial an effect."""

    asked = Signal()
    stopped = Signal()

    def __init__(self, old: str, new: str, parent: QWidget | None = None) -> None:
        super().__init__("Side effects", parent=parent)
        self._names = old, new
        self._sentence = TermLabel(_WHAT, tone="muted", wrap=True)
        self.body.addWidget(self._sentence)
        self.measure = Button("Measure side effects", icon="play")
        self.measure.clicked.connect(self.asked)
        self.meter = Meter("Side effects being measured")
        self.meter.hide()
        self._trouble = TermLabel("", tone="danger", wrap=True)
        self._trouble.hide()
        line = row()
        self.stop = Button("Stop", icon="stop")
        self.stop.clicked.connect(self.stopped)
        self.stop.hide()
        line.addWidget(self.measure)
        line.addWidget(self.stop)
        line.addStretch(1)
        self.body.addLayout(line)
        self.body.addWidget(self.meter)
        self.body.addWidget(self._trouble)
        self._place = column()
        self.body.addLayout(self._place)

    def show_progress(self, share: float, said: str) -> None:
        """It is being measured."""
        self._show_running(True)
        self.meter.set_value(share, 1.0 if share else 0.0, said)

    def show_trouble(self, said: str) -> None:
        """It could not be measured, or ("") was stopped."""
        self._show_running(False)
        self._trouble.setText(said)
        self._trouble.setVisible(bool(said))

    def _show_running(self, on: bool) -> None:
        self.measure.setVisible(not on)
        for part in (self.meter, self.stop):
            part.setVisible(on)
        self._trouble.hide()

    def show_effects(self, effects: SideEffects) -> None:
        """Show what was measured."""
        self._show_running(False)
        self.measure.hide()
        self._sentence.setText(effects.sentence)
        self._sentence.set_tone("warning" if effects.flagged else "")
        clear(self._place)
        grid = QGridLayout()
        grid.setSpacing(t.SPACE_M)
        for place, effect in enumerate(effects.effects):
            grid.addWidget(EffectDial(effect), place // _COLUMNS, place % _COLUMNS)
            grid.setColumnStretch(place % _COLUMNS, 1)
        self._place.addLayout(grid)
        self._place.addWidget(caption(f"Hollow: {self._names[0]}. Filled: {self._names[1]}. {_NOTE}", wrap=True))
        for effect in effects.flagged:
            for question, before, after in effect.examples[:1]:
                self._place.addWidget(_example(effect.title, question, before, after))


class EffectDial(Card):
    """One effect: its name, before → after in numbers, the same as a picture, and a sentence."""

    def __init__(self, effect: Effect, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.setAccessibleName(effect.title)
        head = row()
        icon: str = "alert" if effect.flagged else "check"
        tone: t.Role = "warning" if effect.flagged else "success"
        head.addWidget(TermLabel(effect.title, strong=True, wrap=True), 1)
        head.addWidget(IconLabel(icon, tone, t.ICON_SMALL))
        head.addWidget(TermLabel("worth a look" if effect.flagged else "no sign", "caption", tone))
        self.body.addLayout(head)
        before = in_units(effect.name, effect.before).partition(" ")[0]  # its unit is said after the other one
        numbers = f"{before} → {in_units(effect.name, effect.after)}"
        self.body.addWidget(TermLabel(numbers, "heading", wrap=True))
        self.body.addWidget(BeforeAfter(effect))
        self.body.addWidget(caption(effect.sentence, wrap=True))
        self.body.addStretch(1)


class BeforeAfter(QWidget):
    """Two points with their intervals on one scale; the numbers are beside it in words."""

    def __init__(self, effect: Effect, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._effect = effect
        numbers = [effect.before_low, effect.before_high, effect.after_low, effect.after_high, effect.before, effect.after]
        low, high = min(numbers), max(numbers)
        self._low, self._high = _scale(low, high, is_share(effect.name))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(
            f"{effect.title}: {in_units(effect.name, effect.before)} before, {in_units(effect.name, effect.after)} after"
        )

    def sizeHint(self) -> QSize:
        """Two low rows."""
        return QSize(t.SPACE_XXL * 4, t.SPACE_XXL)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Before above, hollow; after below, filled."""
        effect, colours = self._effect, current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tone = QColor(colours.warning if effect.flagged else colours.accent)
        rows = (
            (self.height() * 0.28, effect.before, effect.before_low, effect.before_high, QColor(colours.muted), False),
            (self.height() * 0.72, effect.after, effect.after_low, effect.after_high, tone, True),
        )
        for middle, value, low, high, colour, filled in rows:
            painter.setPen(QPen(QColor(colours.hairline), 2))
            painter.drawLine(QPointF(self._x(self._low), middle), QPointF(self._x(self._high), middle))
            painter.setPen(QPen(colour, 3, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
            painter.drawLine(QPointF(self._x(low), middle), QPointF(self._x(high), middle))
            painter.setPen(QPen(colour, 2))
            painter.setBrush(colour if filled else QColor(colours.surface))
            painter.drawEllipse(QRectF(self._x(value) - t.SPACE_XS, middle - t.SPACE_XS, t.SPACE_S, t.SPACE_S))

    def _x(self, value: float) -> float:
        edge = t.SPACE_S
        return edge + (value - self._low) / (self._high - self._low) * (self.width() - 2 * edge)


def _scale(low: float, high: float, share: bool) -> tuple[float, float]:
    """Shares are drawn from 0 to 1; anything else around what there is."""
    room = 0.1 * (high - low or 1.0)
    return (0.0, 1.0) if share else (low - room, high + room)


def _example(title: str, question: str, before: str, after: str) -> Card:
    card = Card(kind="turn")
    card.body.addWidget(caption(f"{title}, for example"))
    card.body.addWidget(Label(question, strong=True, wrap=True))
    grid = QGridLayout()
    grid.setHorizontalSpacing(t.SPACE_XL)
    for place, (name, text) in enumerate((("Before", before), ("After", after))):
        grid.addWidget(caption(name), 0, place)
        grid.addWidget(MarkdownView(text, f"{name}: {question}"), 1, place, Qt.AlignmentFlag.AlignTop)
        grid.setColumnStretch(place, 1)
    card.body.addLayout(grid)
    return card
