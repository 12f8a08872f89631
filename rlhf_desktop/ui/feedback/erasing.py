"""Erasing for good: what would go is said first, and only then can it be confirmed."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.operations.erase import Erased, Erasure, erase, plan_erasure
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui import words
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Card, Meter, Notice, Page, clear, column, row
from rlhf_desktop.ui.widgets.text import title


class ErasingPage(Page):
    """A page, not a dialogue: there is time to read it."""

    left = Signal()
    erased = Signal()

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(t.FORM_WIDTH, parent)
        self._context = context
        self._ids: list[str] = []
        self.body.addWidget(title("Erase for good"))
        explained = (
            "To stop using a judgement, withdraw it: that can be undone. Erasing cannot. The words go from this workspace, from "
            "training data, reports and backups the program made; what stays is that something was erased, so that a colleague's "
            "bundle does not bring it back."
        )
        self.body.addWidget(TermLabel(explained, wrap=True))
        card = Card("What goes")
        self._plan = column()
        card.body.addLayout(self._plan)
        self.body.addWidget(card)
        self.sure = QCheckBox("I have read this, and want it gone for good")
        self.sure.setAccessibleName(self.sure.text())
        self.body.addWidget(self.sure, 0, Qt.AlignmentFlag.AlignLeft)
        self.meter = Meter("Erasing")
        self.meter.hide()
        self.body.addWidget(self.meter)
        self.notice = Notice("alert", "", "danger")
        self.notice.hide()
        self.body.addWidget(self.notice)
        lower = row(spacing=t.SPACE_S)
        lower.addStretch(1)
        self.keep, self.go = Button("Keep everything", "primary"), Button("Erase for good", "danger", icon="trash")
        lower.addWidget(self.go)
        lower.addWidget(self.keep)
        self.body.addLayout(lower)
        self.body.addStretch(1)
        self.keep.clicked.connect(self.left)
        self.go.clicked.connect(self._erase)
        self.sure.toggled.connect(self.go.setEnabled)

    def begin(self, judgement_ids: list[str]) -> None:
        """Find out what would go with these."""
        self._ids = judgement_ids
        self.sure.setChecked(False)
        self.sure.setEnabled(False)
        self.go.setEnabled(False)
        self.notice.hide()
        clear(self._plan)
        self.meter.set_value(0, 0, "Looking through runs, reports and exports…")
        self.meter.show()
        context, project = self._context, self._context.session.project

        def plan() -> Erasure:
            with Store.open(context.store.path) as store:
                return plan_erasure(store, context.workspace, project, judgement_ids)

        context.tasks.run(plan, on_success=self._planned, on_failure=self._failed)
        self.keep.setFocus(Qt.FocusReason.PopupFocusReason)  # on purpose: it erases nothing

    def _planned(self, plan: Erasure) -> None:
        self.meter.hide()
        self.sure.setEnabled(True)
        lines = [
            f"{words.count(len(plan.judgements), 'judgement')}: what you chose, its other versions, and others on the same answers",
            f"{words.count(len(plan.messages), 'message')} of their conversations",
        ]
        if plan.prompts:
            lines.append(f"{words.count(len(plan.prompts), 'prompt')} of your prompt sets with the same words")
        if plan.runs:
            lines.append(f"their rows in the training data of {words.count(len(plan.runs), 'run')}")
        for line in lines:
            self._plan.addWidget(TermLabel(f"•  {line}", wrap=True))
        if plan.adapters:
            said = "These adapters have learned from them, and keep what they learned: "
            self._plan.addWidget(TermLabel(f"{said}{', '.join(plan.adapters)}.", tone="warning", wrap=True))
        if plan.exports:
            said = "These files were written before, and are no longer in the program's hands: "
            names = ", ".join(dict.fromkeys(Path(export.path).name for export in plan.exports))
            self._plan.addWidget(TermLabel(f"{said}{names}.", tone="warning", wrap=True))

    def _erase(self) -> None:
        context, project, ids = self._context, self._context.session.project, self._ids

        def work(on_progress: Callable[[str], None]) -> Erased:
            with Store.open(context.store.path) as store:
                return erase(store, context.workspace, project, ids, confirmed=True, on_progress=on_progress)

        self.sure.setEnabled(False)
        self.go.setEnabled(False)
        self.meter.set_value(0, 0, "Erasing…")
        self.meter.show()
        context.tasks.run(
            work, on_success=self._done, on_failure=self._failed, on_progress=lambda said: self.meter.set_value(0, 0, str(said))
        )

    def _done(self, done: Erased) -> None:
        self.meter.hide()
        rewritten = f" {words.count(len(done.rewritten), 'file was', 'files were')} rewritten." if done.rewritten else ""
        self._context.session.announce(f"Erased {words.count(len(done.plan.judgements), 'judgement')} for good.{rewritten}")
        self.erased.emit()

    def _failed(self, trouble: AppError) -> None:
        self.meter.hide()
        self.sure.setEnabled(bool(self._plan.count()))
        self.notice.say("alert", str(trouble), "danger")
        self.notice.show()
