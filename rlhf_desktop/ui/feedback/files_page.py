"""Import and export, side by side where there is room."""

from PySide6.QtWidgets import QGridLayout, QWidget

from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.feedback.bundling import BundleCard
from rlhf_desktop.ui.feedback.exporting import ExportCard
from rlhf_desktop.ui.feedback.importing import ImportCard
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.surfaces import Page


class FilesPage(Page):
    """Feedback in and out of the project."""

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(t.WIDE_WIDTH, parent)
        self.imports, self.exports, self.bundles = ImportCard(context), ExportCard(context), BundleCard(context)
        self._grid = QGridLayout()
        self._grid.setSpacing(t.SPACE_L)
        self._cards = [self.imports, self.exports, self.bundles]
        self.body.addLayout(self._grid)
        self.body.addStretch(1)
        self._arrange()

    def refresh(self) -> None:
        """Nothing here changes by itself."""

    def resizeEvent(self, event) -> None:
        """Side by side when there is room."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        columns = 2 if self.width() >= t.CONTENT_WIDTH else 1
        for place, card in enumerate(self._cards):
            self._grid.addWidget(card, place // columns, place % columns)
            self._grid.setRowStretch(place // columns, 0)
        for number in range(2):
            self._grid.setColumnStretch(number, 1 if number < columns else 0)
