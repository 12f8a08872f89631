"""The form in which a project's protocol is edited: which judgements are asked for."""

from collections.abc import Iterable, Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QLineEdit, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.feedback.protocol import ONE_TO_FIVE, PRESETS, Attribute, LabelQuestion, Protocol, SpanCategory, protocol_from
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.judging.writing import LongEdit
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.fields import DecimalField, Form, NumberField, choice, named
from rlhf_desktop.ui.widgets.saved_state import Field, KeptForm, Values
from rlhf_desktop.ui.widgets.surfaces import Card, Notice, Page, row
from rlhf_desktop.ui.widgets.text import caption, title

_COMPARISONS = {
    "pairwise": "Two answers: which is better",
    "ranking": "Several answers: best to worst",
    "buckets": "Sort answers into groups",
    "none": "No comparison",
}
_REASONS = {"optional": "May be given", "required": "Must be given", "off": "Not asked"}
_CHECKS = {
    "strength": "How much better the better of two is",
    "thumbs": "A thumb up or down for each answer",
    "correction": "Correct an answer",
    "demonstration": "Write an answer from scratch",
    "confidence": "How sure you are",
}


class ProtocolPage(Page):
    """Presets at the top; what is saved holds from the next item on."""

    saved = Signal(object)  # Protocol
    left = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(t.FORM_WIDTH, parent)
        self._name = "General"
        self.body.addWidget(title("What you are asked"))
        self.body.addWidget(
            caption("Choose a preset, then change what you like. It holds for this project, in Chat and in Label.", wrap=True)
        )
        self.preset = choice("Preset")
        self.preset.addItems([*PRESETS, "My own"])
        self.notice = Notice("alert", "", "danger")
        self.notice.hide()
        self.body.addLayout(self._make_form())
        self.body.addWidget(self.notice)
        self.back, self.save = Button("Back", "quiet"), Button("Save", "primary")
        self.discard = Button("Discard changes", "quiet", icon="undo")
        self.kept = KeptForm(self._fields(), self.save, self)
        lower = row(spacing=t.SPACE_S)
        lower.addWidget(self.kept.words)
        lower.addStretch(1)
        for button in (self.discard, self.back, self.save):
            lower.addWidget(button)
        self.body.addLayout(lower)
        self.body.addStretch(1)
        self.preset.textActivated.connect(self._use_preset)
        self.save.clicked.connect(self._save)
        self.back.clicked.connect(self.left)
        self.discard.clicked.connect(self._discard)
        self.kept.changed.connect(self.discard.setVisible)

    def _make_form(self) -> Form:
        form = self._form = Form()
        form.add("Preset", self.preset)
        self.comparison = self._choice("Comparison", _COMPARISONS)
        form.add("Comparison", self.comparison)
        self.answers = NumberField()
        self.answers.setRange(1, 8)
        named(self.answers, "Answers to each prompt")
        form.add("Answers to each prompt", self.answers)
        self.buckets = QLineEdit()
        self.buckets.setAccessibleName("Groups, best first, with commas between")
        self.buckets.setPlaceholderText("Great, Usable, Bad")
        form.add("Groups, best first", self.buckets)
        self.comparison.currentIndexChanged.connect(self._show_groups)
        self.checks: dict[str, QCheckBox] = {}
        checks = Card(kind="plain")
        checks.body.setContentsMargins(0, t.SPACE_XS, 0, 0)
        checks.body.setSpacing(0)
        for key, words in _CHECKS.items():
            self.checks[key] = QCheckBox(words)
            self.checks[key].setAccessibleName(words)
            checks.body.addWidget(self.checks[key])
        form.add("Also ask", checks)
        self.attributes = self._lines("Rate each answer", "accuracy: wrong, in part, mostly, accurate\nkindness")
        form.add(
            "Rate each answer",
            self._with_help(self.attributes, "One a line. The scale is 1 to 5, or the words you put after a colon, worst first."),
        )
        self.labels = self._lines("Label each answer", "Refuses?: yes, partly, no")
        form.add(
            "Label each answer",
            self._with_help(
                self.labels, "One question a line, its labels after the colon. Begin the line with * if several labels may hold."
            ),
        )
        self.spans = self._lines("Mark parts as", "wrong fact, rude, invented")
        form.add("Mark parts as", self._with_help(self.spans, "Commas between. Empty: nothing is marked."))
        self.reason = self._choice("A reason", _REASONS)
        form.add("A reason", self.reason)
        self.repeats = DecimalField()
        self.repeats.setRange(0, 50)
        self.repeats.setDecimals(0)
        self.repeats.setSuffix(" %")
        named(self.repeats, "Share of items that silently return")
        self.repeats.setToolTip("They come back in another order, to measure how well you agree with yourself")
        form.add("Items that return", self.repeats)
        self.overlap = DecimalField()
        self.overlap.setRange(0, 100)
        self.overlap.setDecimals(0)
        self.overlap.setSuffix(" %")
        named(self.overlap, "Share of items that colleagues judge too")
        self.overlap.setToolTip("What one of you judged in Label comes to the others too, to measure how far you agree")
        form.add("Items for all of you", self.overlap)
        return form

    def _show_groups(self) -> None:
        """Groups are asked for only where answers are sorted into some; what was typed stays."""
        self._form.setRowVisible(self.buckets, self.comparison.currentData() == "buckets")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc goes back, as Back does: what was changed is kept."""
        if keymap.heard(event, "writing") == "leave":
            self.left.emit()
        else:
            super().keyPressEvent(event)

    def _fields(self) -> dict[str, Field]:
        """By the names of the draft."""
        single = ("preset", "comparison", "answers", "buckets", "attributes", "labels", "spans", "reason", "repeats", "overlap")
        return {name: getattr(self, name) for name in single} | self.checks

    @staticmethod
    def _choice(name: str, options: dict[str, str]) -> QComboBox:
        made = choice(name)
        for value, words in options.items():
            made.addItem(words, value)
        return made

    def _lines(self, name: str, example: str) -> LongEdit:
        made = LongEdit(name)
        made.setPlaceholderText(example)
        made.left.connect(self.left)
        return made

    @staticmethod
    def _with_help(field: QWidget, words: str) -> Card:
        held = Card(kind="plain")
        held.body.setContentsMargins(0, 0, 0, 0)
        held.body.addWidget(field)
        held.body.addWidget(caption(words, wrap=True))
        return held

    def show_protocol(self, protocol: Protocol, draft: Values | None = None) -> None:
        """Fill the form with what is saved, and with what was changed and not saved before."""
        self._fill(protocol)
        self.kept.rest()
        self.kept.take_up(draft)
        self._name = self.preset.currentText()

    def _discard(self) -> None:
        self.kept.discard()
        self._name = self.preset.currentText()
        self.notice.hide()
        self.back.setFocus()

    def _fill(self, protocol: Protocol) -> None:
        self.notice.hide()
        self._name = protocol.name
        self.preset.setCurrentText(protocol.name if protocol.name in PRESETS else "My own")
        self.comparison.setCurrentIndex(self.comparison.findData(protocol.comparison))
        self._show_groups()
        self.answers.setValue(protocol.answers)
        self.buckets.setText(_joined(protocol.buckets))
        for key, check in self.checks.items():
            check.setChecked(getattr(protocol, key))
        self.attributes.setPlainText("\n".join(_attribute_line(attribute) for attribute in protocol.attributes))
        self.labels.setPlainText("\n".join(f"{'* ' if q.several else ''}{q.name}: {_joined(q.labels)}" for q in protocol.labels))
        self.spans.setPlainText(_joined(category.name for category in protocol.span_categories))
        self.reason.setCurrentIndex(self.reason.findData(protocol.reason))
        self.repeats.setValue(100 * protocol.repeat_share)
        self.overlap.setValue(100 * protocol.overlap_share)
        self._shown = protocol

    def value(self) -> Protocol:
        """What the form says.

        Raises:
            BadInput: it does not fit together.
        """
        return protocol_from({
            "name": self._name,
            "comparison": self.comparison.currentData(),
            "answers": self.answers.value(),
            "buckets": _split(self.buckets.text()) or list(Protocol().buckets),
            **{key: check.isChecked() for key, check in self.checks.items()},
            "attributes": [_with_help_of(_parse_attribute(line), self._shown.attributes) for line in _lines_of(self.attributes)],
            "labels": [_with_help_of(_parse_question(line), self._shown.labels) for line in _lines_of(self.labels)],
            "span_categories": [
                _with_help_of({"name": name}, self._shown.span_categories)
                for name in _split(self.spans.toPlainText().replace("\n", ","))
            ],
            "reason": self.reason.currentData(),
            "repeat_share": round(self.repeats.value() / 100, 2),
            "overlap_share": round(self.overlap.value() / 100, 2),
        })  # fmt: skip

    def _use_preset(self, name: str) -> None:
        if name in PRESETS:
            self._fill(PRESETS[name])
        else:
            self._name = name

    def _save(self) -> None:
        try:
            made = self.value()
            same = PRESETS.get(made.name)
            if same is not None and same != made:
                made = made.model_copy(update={"name": "My own"})
        except AppError as trouble:
            self.notice.say("alert", str(trouble), "danger")
            self.notice.show()
        else:
            self.kept.saved()
            self.saved.emit(made)


def _attribute_line(attribute: Attribute) -> str:
    named = list(attribute.levels) != list(ONE_TO_FIVE)
    return f"{attribute.name}: {_joined(attribute.levels)}" if named else attribute.name


def _parse_attribute(line: str) -> dict[str, object]:
    name, _, levels = line.partition(":")
    return {"name": name.strip(), **({"levels": _split(levels)} if levels.strip() else {})}


def _parse_question(line: str) -> dict[str, object]:
    name, _, labels = line.removeprefix("*").rpartition(":")
    return {"name": name.strip(), "labels": _split(labels), "several": line.startswith("*")}


def _with_help_of(made: dict[str, object], before: Sequence[Attribute | LabelQuestion | SpanCategory]) -> dict[str, object]:
    """What a question means is not edited here: it stays with its name."""
    kept = next((old.help for old in before if old.name == made["name"]), "")
    return {**made, "help": kept}


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(";" if ";" in text else ",") if part.strip()]


def _joined(words: Iterable[str]) -> str:
    """As `_split` takes it apart again: where a word has a comma in it, semicolons stand between them."""
    parts = list(words)
    return ("; " if any("," in part for part in parts) else ", ").join(parts)


def _lines_of(field: LongEdit) -> list[str]:
    return [line.strip() for line in field.toPlainText().splitlines() if line.strip()]
