"""The sample project's report: did it get better, what changed, and the answers themselves."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QWidget

from rlhf_desktop.core.words import count
from rlhf_desktop.operations.demo_report import MODEL_TITLES, DemoReport, SideBySide
from rlhf_desktop.ui import words
from rlhf_desktop.ui.evaluate.interval import IntervalBar
from rlhf_desktop.ui.help.termlabel import TermLabel, term_caption
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import Card, column
from rlhf_desktop.ui.widgets.text import Label, caption, heading

_PARTS = {
    "acknowledgement": "Acknowledges the trouble first",
    "product": "Names the customer's product",
    "next_step": "Offers a next step",
    "length": "15 to 60 words",
    "end": "Ends properly",
    "full": "All of these",
}


class ReportView(QWidget):
    """Shows one report."""

    def __init__(self, report: DemoReport, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        box = column(self, 0, t.SPACE_L)
        box.addWidget(_wins(report))
        box.addWidget(_rates(report))
        box.addWidget(heading("Complaints that no training has seen"))
        step = max(1, len(report.samples) // 6)  # evenly spread, never chosen by how well they turned out
        for sample in report.samples[::step][:6]:
            box.addWidget(_sample(sample))
        box.addWidget(caption(_note(report), wrap=True))


def _wins(report: DemoReport) -> Card:
    card = Card("How often the tuned answer is preferred")
    grid = QGridLayout()
    grid.setHorizontalSpacing(t.SPACE_L)
    grid.setVerticalSpacing(t.SPACE_M)
    for place, win in enumerate(report.wins):
        grid.addWidget(Label(f"against “{MODEL_TITLES[win.against]}”"), place, 0)
        grid.addWidget(Label(f"{win.rate:.0%}", "heading"), place, 1)
        grid.addWidget(IntervalBar(win.rate, win.low, win.high), place, 2)
        said = f"95% interval {win.low:.0%}–{win.high:.0%}, {count(win.prompts, 'prompt')}, {win.ties:.0%} ties"
        grid.addWidget(term_caption(said), place, 3)
    grid.setColumnStretch(2, 1)
    card.body.addLayout(grid)
    card.body.addWidget(
        caption(f"Judged by the written rule “{report.rule}”, a tie counts half. Right of the middle is better.", wrap=True)
    )
    return card


def _rates(report: DemoReport) -> Card:
    card = Card("What the answers do")
    grid = QGridLayout()
    grid.setHorizontalSpacing(t.SPACE_XL)
    grid.setVerticalSpacing(t.SPACE_S)
    models = list(report.models)
    for column_number, model in enumerate(models, 1):
        grid.addWidget(caption(MODEL_TITLES[model].capitalize()), 0, column_number)
    rows = [(title, [f"{report.models[m].rates[name]:.0%}" for m in models]) for name, title in _PARTS.items()]
    rows.append(("Words an answer", [f"{report.models[m].mean_words:.0f}" for m in models]))
    rows.append(("Surprise to the model before (perplexity)", [f"{report.models[m].perplexity:.1f}" for m in models]))
    for place, (title, cells) in enumerate(rows, 1):
        grid.addWidget(TermLabel(title), place, 0)
        for column_number, cell in enumerate(cells, 1):
            grid.addWidget(Label(cell, strong=models[column_number - 1] == "tuned"), place, column_number)
    grid.setColumnMinimumWidth(0, t.SIDEBAR_WIDTH + t.SPACE_XXL)
    grid.setColumnStretch(len(models) + 1, 1)
    card.body.addLayout(grid)
    return card


def _sample(sample: SideBySide) -> Card:
    card = Card()
    card.body.addWidget(Label(sample.prompt, strong=True, wrap=True))
    grid = QGridLayout()
    grid.setHorizontalSpacing(t.SPACE_XL)
    for place, (model, text) in enumerate(sample.answers.items()):
        grid.addWidget(caption(f"{MODEL_TITLES[model].capitalize()}  ·  {sample.points[model]:.2g} of 5"), 0, place)
        grid.addWidget(MarkdownView(text, f"Answer, {MODEL_TITLES[model]}"), 1, place, Qt.AlignmentFlag.AlignTop)
        grid.setColumnStretch(place, 1)
    grid.setRowStretch(2, 1)
    card.body.addLayout(grid)
    return card


def _note(report: DemoReport) -> str:
    accuracy = "not measured" if report.reward_accuracy is None else f"{report.reward_accuracy:.0%}"
    drift = "not measured" if report.kl is None else f"{report.kl:.1f} nats an answer"
    return (
        f"The feedback came from a rule, not from a person: {report.feedback_answers} answers. Reward model right on prompts it "
        f"has not seen: {accuracy}. Drift from the starting model (KL): {drift}. It took {words.duration(report.total_s)}. The "
        f"small starter model only demonstrates the loop. Everything is in the project “{report.project}”."
    )
