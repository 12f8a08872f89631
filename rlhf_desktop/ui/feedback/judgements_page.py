"""Every judgement in a table, one of them in full beside it; tags in bulk; revising in place."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from weakref import ref

from PySide6.QtCore import QEvent, QItemSelection, QItemSelectionModel, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QLineEdit, QStackedWidget, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.feedback.judgements import Judgement
from rlhf_desktop.operations.history import HistoryCount, HistoryItem, HistoryRow, history_item, measure_history
from rlhf_desktop.store.history import HistoryQuery
from rlhf_desktop.store.tags import TagStore
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.feedback.detail import DetailPane
from rlhf_desktop.ui.feedback.erasing import ErasingPage
from rlhf_desktop.ui.feedback.filters import Filters
from rlhf_desktop.ui.feedback.revising import RevisingPage
from rlhf_desktop.ui.feedback.table import COLUMNS, HistoryModel, HistoryTable
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.one_at_a_time import OneAtATime
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.splitter import KeptSplitter
from rlhf_desktop.ui.widgets.surfaces import EmptyState, Looking, column, row

_MANY = 10_000
_FAR = 5_000  # rows: below, a changed list is shown from the top


@dataclass(frozen=True)
class _Place:
    """Where a table is: its topmost row, the last one shown, the judgements that are marked."""

    top: int
    last: int
    marked: frozenset[str]


class JudgementsPage(QStackedWidget):
    """Shows what the filters let through, and does what the buttons say."""

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self.model: HistoryModel | None = None
        self._coming: HistoryModel | None = None  # the list asked for last: shown, or about to be
        self._listed: tuple[str, HistoryQuery] | None = None  # of which project, and what
        self._counts = OneAtATime(self._count)  # a search counts for longer than one types
        self._sized_for = ""  # the project known to have judgements, or none
        self._chosen: str | None = None  # the judgement shown beside the table
        self.empty = EmptyState(
            "feedback",
            "Every judgement is kept here",
            "Compare answers in Chat or in Label, or import feedback you already have. What you withdraw can be restored.",
            "Compare answers in Chat",
        )
        self.filters, self.detail = Filters(), DetailPane()
        self.table = _table()
        self.split = self._make_split()
        self.revising, self.erasing = RevisingPage(context), ErasingPage(context)
        self.looking = Looking("Looking for judgements…")
        for page in (self.looking, self.empty, self.split, self.revising, self.erasing):
            self.addWidget(page)
        self._connect()

    def _make_split(self) -> KeptSplitter:
        left = QWidget()
        box = column(left, 0, t.SPACE_S)
        box.setContentsMargins(t.SPACE_XL, t.SPACE_M, t.SPACE_S, t.SPACE_S)
        box.addWidget(self.filters)
        self.counted = TermLabel("", "caption", "muted")
        box.addWidget(self.counted)
        self.nothing = TermLabel("Nothing found. Take a filter away, or search for fewer words.", tone="muted", wrap=True)
        self.nothing.hide()
        box.addWidget(self.nothing)
        box.addWidget(self.table, 1)
        box.addWidget(self._make_bulk())
        split = KeptSplitter("the judgements", self._context.store.settings)
        split.addWidget(left)
        split.addWidget(self.detail)
        split.setSizes([t.CONTENT_WIDTH * 6 // 10, t.CONTENT_WIDTH * 4 // 10])
        split.setChildrenCollapsible(False)
        return split

    def _make_bulk(self) -> QWidget:
        self.bulk = QWidget()
        across = row(self.bulk, 0, t.SPACE_S)
        self.selected = TermLabel("", "caption")
        self.tag = QLineEdit()
        self.tag.setPlaceholderText("Tag")
        self.tag.setAccessibleName("Tag for the selected judgements")
        self.tag.setMaximumWidth(t.SIDEBAR_WIDTH // 2)
        self.add_tag, self.remove_tag = Button("Add tag", icon="tag"), Button("Remove tag", "quiet")
        self.erase = Button("Erase…", "danger", icon="trash")
        across.addWidget(self.selected, 1)
        for part in (self.tag, self.add_tag, self.remove_tag, self.erase):
            across.addWidget(part)
        return self.bulk

    def _connect(self) -> None:
        """Every connection of this page."""
        self.filters.changed.connect(lambda _query: self.reload())
        self.empty.began.connect(lambda: self._context.session.roomRequested.emit("chat"))
        self.detail.withdrawn.connect(self.withdraw)
        self.detail.restored.connect(self.restore)
        self.detail.revised.connect(self.revise)
        self.detail.untagged.connect(lambda key, tag: self._tag(lambda tags: tags.remove([key], tag)))
        self.add_tag.clicked.connect(lambda: self._tag_selected(True))
        self.remove_tag.clicked.connect(lambda: self._tag_selected(False))
        self.tag.returnPressed.connect(lambda: self._tag_selected(True))
        self.table.activated.connect(lambda _index: self.detail.revise.isVisible() and self.detail.revise.setFocus())
        self.revising.left.connect(self._back)
        self.erase.clicked.connect(self._erase)
        self.erasing.left.connect(self._back)
        self.erasing.erased.connect(self._erased)
        self.table.installEventFilter(self)

    # --- the list

    def refresh(self) -> None:
        """Count, then show the table; rows come as they are looked at."""
        if self.currentWidget() in (self.revising, self.erasing):
            return
        store, project = self._context.store, self._context.session.project
        if project.id != self._sized_for:
            self.setCurrentWidget(self.looking)
        self._context.tasks.run(
            lambda: (store.judgements.any(project.id), store.judgements.people(project.id), store.tags.counts(project.id)),
            on_success=lambda found: self._sized(*found) if project == self._context.session.project else None,
            on_failure=self._context.session.troubled.emit,
        )  # fmt: skip

    def _sized(self, some: bool, people: list[str], tags: dict[str, int]) -> None:
        self._sized_for = self._context.session.project.id
        self.filters.offer(people, tags)
        self.setCurrentWidget(self.split if some else self.empty)
        if some:
            self.reload(self._place())

    def _place(self) -> _Place | None:
        """Where the table is, to be found again in the list as it is now; None far down, where that would take long."""
        project, query = self._context.session.project, self.filters.query()
        if self.model is None or self._listed != (project.id, query):
            return None
        top = self.table.verticalScrollBar().value()
        last = top + self.table.viewport().height() // self.table.verticalHeader().defaultSectionSize()
        keys = frozenset(found.judgement.id for found in self.selected_rows())
        return _Place(top, min(last, self.model.rowCount()), keys) if last < _FAR else None

    def reload(self, place: _Place | None = None) -> None:
        """Ask for what the filters let through: from the top, or with the table where it was."""
        context, query = self._context, self.filters.query()
        if self._coming is not None:
            self._coming.stop()
        if self._listed != (context.session.project.id, query):
            self.counted.setText("Counting…")
        self._listed = (context.session.project.id, query)
        model = HistoryModel(context.store, context.tasks, context.session.project, query, place.last if place else 0)
        self._coming = model
        known = ref(model)  # its signals' slots must not keep it: every list there ever was would stay
        model.arrived.connect(lambda: self._arrived(known(), place))
        model.dataChanged.connect(lambda first, last: self._open_again(first.row(), last.row()) if self.model is known() else None)
        model.troubled.connect(context.session.troubled)
        if place is None:
            self._show(model)

    def _count(self, project: Project, query: HistoryQuery) -> None:
        """Say how long the list is, once its rows are there."""
        self._context.tasks.run(
            measure_history, self._context.store, project, query, _MANY,
            on_success=lambda found: self._say_count((project.id, query), found), on_failure=self._not_counted,
        )  # fmt: skip

    def _not_counted(self, trouble: AppError) -> None:
        self.counted.clear()
        self._context.session.troubled.emit(trouble)
        self._counts.done()

    def _say_count(self, counted: tuple[str, HistoryQuery], found: HistoryCount) -> None:
        if counted == self._listed:
            less = counted[1].standing and found.in_effect is None
            self.counted.setText(f"{found.words(_MANY)}{', less those that were taken back' if less else ''}")
            self.nothing.setVisible(found.rows == 0)
        self._counts.done()

    def _show(self, model: HistoryModel) -> None:
        if self.model is not None and self.model is not model:
            self.model.stop()
        self.model = model
        self.table.setModel(model)
        self.table.selectionModel().currentRowChanged.connect(lambda now, _before: self._open(now.row()))
        self.table.selectionModel().selectionChanged.connect(lambda _on, _off: self._show_selected())
        self.table.share_width()

    def _arrived(self, model: HistoryModel | None, place: _Place | None) -> None:
        """The rows are there: show again what was shown and mark what was marked, else the first."""
        if model is None or model is not self._coming:
            return
        if self.model is not model:
            self._show(model)
        numbers = model.loaded()
        if model.rowCount():
            here = min(place.last, model.rowCount() - 1) if place else 0
            self.table.selectRow(numbers.get(self._chosen or "", here))
        else:
            self._close_detail()
        if place:
            self._mark(model, [numbers[key] for key in place.marked if key in numbers])
            self.table.verticalScrollBar().setValue(place.top)
        self._show_selected()
        if self._listed is not None:
            self._counts.ask(self._context.session.project, self._listed[1])

    def _mark(self, model: HistoryModel, numbers: Iterable[int]) -> None:
        """Select these rows besides."""
        chosen = QItemSelection()
        for number in numbers:
            chosen.select(model.index(number, 0), model.index(number, len(COLUMNS) - 1))
        self.table.selectionModel().select(chosen, QItemSelectionModel.SelectionFlag.Select)

    def _open_again(self, first: int, last: int) -> None:
        now = self.table.currentIndex().row()
        if first <= now <= last:
            self._open(now)

    def _open(self, index: int) -> None:
        shown = self.model.row(index) if self.model is not None else None
        if shown is None:
            return
        self._chosen = shown.judgement.id
        store = self._context.store
        self._context.tasks.run(
            lambda: (history_item(store, shown), store.judgements.versions(shown.judgement.id)),
            on_success=self._opened, on_failure=self._context.session.troubled.emit,
        )  # fmt: skip

    def _opened(self, found: tuple[HistoryItem, list[Judgement]]) -> None:
        item, versions = found
        if item.row.judgement.id == self._chosen:
            self.detail.show_item(item, versions)

    def _close_detail(self) -> None:
        self._chosen = None
        self.detail.show_nothing()

    # --- tags

    def selected_rows(self) -> list[HistoryRow]:
        """The rows marked in the table."""
        rows = (self.model.row(index.row()) for index in self.table.selectionModel().selectedRows()) if self.model else ()
        return [found for found in rows if found is not None]

    def _show_selected(self) -> None:
        n = len(self.selected_rows())
        self.selected.setText(f"{n:,} selected" if n > 1 else "")
        for part in (self.add_tag, self.remove_tag, self.erase):
            part.setEnabled(n > 0)

    def _tag_selected(self, add: bool) -> None:
        tag, ids = self.tag.text().strip(), [found.judgement.id for found in self.selected_rows()]
        if tag and ids:
            self._tag(lambda tags: (tags.add if add else tags.remove)(ids, tag))
            self.tag.clear()

    def _tag(self, change: Callable[[TagStore], object]) -> None:
        self._context.tasks.run(
            change, self._context.store.tags,
            on_success=lambda _none: self.refresh(), on_failure=self._context.session.troubled.emit,
        )  # fmt: skip

    # --- withdraw, restore, revise

    def withdraw(self, judgement_id: str) -> None:
        """Take a judgement back. Undone by Ctrl+Z, or by Restore at any time."""
        self._take_back(judgement_id, "Withdrawn. It no longer counts.", undo="Restored.")

    def restore(self, judgement_id: str) -> None:
        """Have a judgement count again, by taking back whatever took it back."""
        store = self._context.store

        def find() -> str | None:
            later = store.judgements.later([judgement_id])
            return next((e.id for e in reversed(later) if e.id != judgement_id and e.supersedes == judgement_id), None)

        self._context.tasks.run(
            find, on_success=lambda found: self._take_back(found, "Restored. It counts again.") if found else None
        )

    def _take_back(self, event_id: str, said: str, undo: str = "") -> None:
        store, who = self._context.store, who_am_i(self._context.store)
        self._context.tasks.run(
            store.judgements.withdraw, event_id, who,
            on_success=lambda event: self._taken_back(event, said, undo), on_failure=self._context.session.troubled.emit,
        )  # fmt: skip

    def _taken_back(self, event: Judgement, said: str, undo: str) -> None:
        self._context.session.feedbackChanged.emit()
        self._context.session.announce(said, (lambda: self._take_back(event.id, undo)) if undo else None)

    def revise(self, judgement: Judgement) -> None:
        """Judge the same answers again, starting from what was said."""
        self.setCurrentWidget(self.revising)
        self.revising.begin(judgement)

    def _erase(self) -> None:
        ids = [found.judgement.id for found in self.selected_rows()]
        if ids:
            self.setCurrentWidget(self.erasing)
            self.erasing.begin(ids)

    def _erased(self) -> None:
        self._close_detail()
        self._back()
        self._context.session.feedbackChanged.emit()
        self._context.session.conversationsChanged.emit()

    def _back(self) -> None:
        self.setCurrentWidget(self.split)
        self.table.setFocus()
        self.refresh()

    # --- keys

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A key revises what is chosen in the table."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and self._key(event):
            return True
        return super().eventFilter(watched, event)

    def _key(self, event: QKeyEvent) -> bool:
        if keymap.heard(event, "history") == "edit" and not event.isAutoRepeat() and self.detail.revise.isVisible():
            self.detail.revise.click()
            return True
        return False


def _table() -> HistoryTable:
    table = HistoryTable()
    table.setAccessibleName("Judgements")
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.setTabKeyNavigation(False)
    table.verticalHeader().hide()
    table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    table.verticalHeader().setDefaultSectionSize(t.CONTROL_HEIGHT + t.SPACE_XS)
    table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    table.horizontalHeader().setHighlightSections(False)
    return table
