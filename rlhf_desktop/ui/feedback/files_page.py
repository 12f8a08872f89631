"""Import and export, side by side where there is room."""

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QWidget

from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.feedback.bundling import BundleCard
from rlhf_desktop.ui.feedback.exporting import ExportCard
from rlhf_desktop.ui.feedback.importing import ImportCard
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Card, Page, column, row
from rlhf_desktop.ui.widgets.text import caption


class FilesPage(Page):
    """Feedback in and out of the project."""

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(t.WIDE_WIDTH, parent)
        self.imports, self.exports, self.bundles = ImportCard(context), ExportCard(context), BundleCard(context)
        self._across = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._across.setSpacing(t.SPACE_L)
        self.publishing = self._make_publishing(context)
        for cards in ((self.imports,), (self.exports, self.bundles, self.publishing)):
            down = column(spacing=t.SPACE_L)
            for card in cards:
                down.addWidget(card)
            down.addStretch(1)
            self._across.addLayout(down, 1)
        self.body.addLayout(self._across)
        self.body.addStretch(1)

    def _make_publishing(self, context: Context) -> Card:
        card = Card("On the Hub")
        card.body.addWidget(
            caption("Comparisons as a dataset, private unless you say otherwise, after a privacy review.", wrap=True)
        )
        publish = Button("Publish comparisons…", icon="upload")
        publish.clicked.connect(context.session.publishingRequested)
        held = row()
        held.addWidget(publish)
        held.addStretch(1)
        card.body.addLayout(held)
        return card

    def refresh(self) -> None:
        """Say which merge can be undone: nothing else here changes by itself."""
        self.bundles.look_for_undo()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Side by side when there is room."""
        super().resizeEvent(event)
        way = QBoxLayout.Direction
        self._across.setDirection(way.LeftToRight if self.width() >= t.CONTENT_WIDTH else way.TopToBottom)
