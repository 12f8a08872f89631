"""The Feedback room: every judgement in a table, one of them in full beside it, and files in and out."""

from pathlib import Path

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QAbstractItemView, QFileDialog, QHeaderView, QSplitter, QStackedWidget, QTableView, QWidget

from rlhf_desktop.operations.feedback import ImportReport, export_feedback, import_feedback
from rlhf_desktop.operations.history import history_item
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui import words
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.feedback.detail import DetailPane
from rlhf_desktop.ui.feedback.table import HistoryModel
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import EmptyState, Notice, column, hairline, row
from rlhf_desktop.ui.widgets.text import Label, title

_FILES = "Feedback (*.jsonl *.json *.csv);;All files (*)"


class FeedbackRoom(QObject):
    """Judgements, newest first."""

    title, icon = "Feedback", "feedback"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._root = QWidget()
        self._root.setProperty("kind", "page")
        self.model: HistoryModel | None = None
        self._front, self._selected = False, -1
        self._build()
        self._connect()

    def _build(self) -> None:
        box = column(self._root, 0, 0)
        box.addLayout(self._head())
        self.notice = Notice("info", "")
        self.notice.hide()
        held = row()
        held.setContentsMargins(t.SPACE_XL, 0, t.SPACE_XL, t.SPACE_M)
        held.addWidget(self.notice)
        box.addLayout(held)
        box.addWidget(hairline())
        self.table = _table()
        self.detail = DetailPane()
        self.split = QSplitter(Qt.Orientation.Horizontal)
        self.split.addWidget(self.table)
        self.split.addWidget(self.detail)
        self.split.setSizes([t.CONTENT_WIDTH * 6 // 10, t.CONTENT_WIDTH * 4 // 10])
        self.split.setChildrenCollapsible(False)
        self.empty = EmptyState(
            "feedback",
            "Every judgement is kept here",
            "Compare answers in Chat, or bring feedback you already have. Nothing is ever lost: what you withdraw can be restored.",
            "Compare answers in Chat",
        )
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.split)
        box.addWidget(self._stack, 1)

    def _head(self):
        head = row()
        head.setContentsMargins(t.SPACE_XL, t.SPACE_XL, t.SPACE_XL, t.SPACE_M)
        words_box = column(spacing=t.SPACE_XS)
        words_box.addWidget(title("Feedback"))
        self._count = Label("", tone="muted")
        words_box.addWidget(self._count)
        head.addLayout(words_box, 1)
        self.importing = Button("Import…", icon="upload")
        self.exporting = Button("Export…", icon="download")
        head.addWidget(self.importing, 0, Qt.AlignmentFlag.AlignBottom)
        head.addWidget(self.exporting, 0, Qt.AlignmentFlag.AlignBottom)
        return head

    def _connect(self) -> None:
        """Every connection of this room."""
        session = self._context.session
        self.importing.clicked.connect(self._choose_import)
        self.exporting.clicked.connect(self._choose_export)
        self.empty.began.connect(lambda: session.roomRequested.emit("chat"))
        self.detail.withdrawn.connect(self.withdraw)
        self.detail.restored.connect(self.restore)
        session.projectChanged.connect(self._changed)
        session.feedbackChanged.connect(self._changed)

    def widget(self) -> QWidget:
        """The room."""
        return self._root

    def activated(self) -> None:
        """Look again."""
        self._front = True
        self.refresh()

    def deactivated(self) -> None:
        """Nothing runs."""
        self._front = False

    def _changed(self) -> None:
        if self._front:
            self.refresh()

    def refresh(self) -> None:
        """Count, then show the table; rows come as they are looked at."""
        store, project = self._context.store, self._context.session.project
        self._context.tasks.run(
            store.judgements.size, project.id, on_success=self._show, on_failure=self._context.session.troubled.emit
        )

    def _show(self, total: int) -> None:
        selected = max(0, self._selected)
        self.model = HistoryModel(self._context.store, self._context.tasks, self._context.session.project, total)
        self.table.setModel(self.model)
        self._widths()
        self.table.selectionModel().currentRowChanged.connect(lambda now, _before: self._open(now.row()))
        self.model.dataChanged.connect(lambda first, last: self._arrived(first.row(), last.row()))
        self._stack.setCurrentWidget(self.split if total else self.empty)
        self._count.setText(words.count(total, "judgement") if total else "")
        self.exporting.setEnabled(total > 0)
        if total:
            self.table.selectRow(min(selected, total - 1))

    def _widths(self) -> None:
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        for section, width in ((0, t.SPACE_XXL * 4), (2, t.SPACE_XXL * 5), (3, t.SPACE_XXL * 4)):
            header.resizeSection(section, width)

    def _arrived(self, first: int, last: int) -> None:
        if first <= self._selected <= last:
            self._open(self._selected)

    def _open(self, index: int) -> None:
        self._selected = index
        row_shown = self.model.row(index)
        if row_shown is not None:
            self._context.tasks.run(
                history_item,
                self._context.store,
                row_shown,
                on_success=self.detail.show_item,
                on_failure=self._context.session.troubled.emit,
            )

    # --- withdraw and restore

    def withdraw(self, judgement_id: str) -> None:
        """Take a judgement back. Undone by Ctrl+Z, or by Restore at any time."""
        store, who = self._context.store, who_am_i(self._context.store)
        self._context.tasks.run(
            store.judgements.withdraw, judgement_id, who, on_success=self._withdrawn, on_failure=self._context.session.troubled.emit
        )

    def _withdrawn(self, event) -> None:
        self._context.session.feedbackChanged.emit()
        self._context.session.announce("Withdrawn. It no longer counts.", lambda: self._take_back(event.id, "Restored."))

    def restore(self, judgement_id: str) -> None:
        """Have a judgement count again, by taking back whatever took it back."""
        store = self._context.store

        def find() -> str | None:
            later = store.judgements.later([judgement_id])
            return next((e.id for e in reversed(later) if e.id != judgement_id and e.supersedes == judgement_id), None)

        self._context.tasks.run(find, on_success=lambda found: found and self._take_back(found, "Restored. It counts again."))

    def _take_back(self, event_id: str, said: str) -> None:
        store, who = self._context.store, who_am_i(self._context.store)
        self._context.tasks.run(
            store.judgements.withdraw,
            event_id,
            who,
            on_success=lambda _event: self._taken_back(said),
            on_failure=self._context.session.troubled.emit,
        )

    def _taken_back(self, said: str) -> None:
        self._context.session.feedbackChanged.emit()
        self._context.session.announce(said)

    # --- files

    def _choose_import(self) -> None:
        dialog = QFileDialog(self._root, "Import feedback", "", _FILES)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: self.import_file(Path(path)))
        dialog.open()

    def import_file(self, path: Path) -> None:
        """Add a file's feedback, on a connection of its own."""
        project, database = self._context.session.project, self._context.store.path

        def work(on_progress) -> ImportReport:
            with Store.open(database) as store:
                return import_feedback(store, project, path, on_progress=on_progress)

        self._say("clock", f"Reading {path.name}…", "muted")
        self._context.tasks.run(
            work,
            on_success=self._imported,
            on_failure=self._failed,
            on_progress=lambda n: self._say("clock", f"{n:,} rows read…", "muted"),
        )

    def _imported(self, report: ImportReport) -> None:
        parts = [f"Imported {words.count(report.rankings, 'ranking')} and {words.count(report.demonstrations, 'example')}."]
        if report.duplicates:
            parts.append(f"{words.count(report.duplicates, 'row')} were here already.")
        if report.rejected:
            aside = report.rejected_file.name if report.rejected_file else ""
            parts.append(f"{words.count(report.rejected, 'line')} could not be used ({report.first_reason}); kept in {aside}.")
        self._say("alert" if report.rejected else "success", " ".join(parts), "warning" if report.rejected else "success")
        self._context.session.feedbackChanged.emit()

    def _choose_export(self) -> None:
        dialog = QFileDialog(self._root, "Export rankings", "rankings.jsonl", "Rankings (*.jsonl)")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("jsonl")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: self.export_file(Path(path)))
        dialog.open()

    def export_file(self, path: Path) -> None:
        """Write the project's rankings to a file."""
        store, project = self._context.store, self._context.session.project
        self._context.tasks.run(
            export_feedback, store, project, path, "rankings",
            on_success=lambda n: self._say("success", f"Wrote {words.count(n, 'ranking')} to {path.name}.", "success"),
            on_failure=self._failed,
        )  # fmt: skip

    def _failed(self, trouble) -> None:
        self._say("alert", str(trouble), "danger")

    def _say(self, icon: str, text: str, tone) -> None:
        self.notice.say(icon, text, tone)
        self.notice.show()


def _table() -> QTableView:
    table = QTableView()
    table.setAccessibleName("Judgements")
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.setTabKeyNavigation(False)
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(t.CONTROL_HEIGHT + t.SPACE_XS)
    table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    table.horizontalHeader().setHighlightSections(False)
    return table
