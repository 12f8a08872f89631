"""The header (where am I, what next) and the status bar (model · run · network)."""

from PySide6.QtCore import QEvent, QRect, QSize, Qt, Signal
from PySide6.QtGui import QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QSizePolicy, QStyle, QStyleOptionButton, QStylePainter, QWidget

from rlhf_desktop.ui import words
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.theme import icons
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, IconButton, Kind
from rlhf_desktop.ui.widgets.surfaces import row
from rlhf_desktop.ui.widgets.text import IconLabel, caption, plain_tip

_NAME_CHARS = 40  # of a project's name
_LANE_WIDTH = 280  # enough for most notices


class Header(QFrame):
    """Project, what has been taught so far, and the one suggested next step."""

    projectMenuRequested = Signal(object)
    nextRequested = Signal()
    searchRequested = Signal()
    noticesRequested = Signal()
    helpRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("kind", "bar")
        self.setFixedHeight(t.HEADER_HEIGHT)
        across = row(self, 0, t.SPACE_S)
        across.setContentsMargins(t.SPACE_M, 0, t.SPACE_M, 0)
        self.project = Button("Project", "quiet", icon="chevron-down")
        self.project.setLayoutDirection(Qt.LayoutDirection.RightToLeft)  # the chevron follows the name
        self.project.setProperty("strong", True)
        self.count = caption("")
        self.next = GivingButton("Next step", "quiet", icon="spark")
        self.next.hide()
        search = self._find = Button("Find anything", "quiet", icon="search", shortcut=keymap.text("search everything"))
        search.setObjectName("find")
        across.addWidget(self.project)
        across.addWidget(self.count)
        across.addStretch(1)
        across.addWidget(self.next)
        across.addWidget(search)
        self.bell = IconButton("bell", "Notices")
        self.bell.clicked.connect(self.noticesRequested)
        across.addWidget(self.bell)
        ask = IconButton("help", "Help")
        ask.setToolTip(keymap.tip("Help for what is in front", "help"))  # no shortcut: the window has it
        across.addWidget(ask)
        ask.clicked.connect(self.helpRequested)
        self.project.clicked.connect(lambda: self.projectMenuRequested.emit(self.project))
        self.next.clicked.connect(self.nextRequested)
        search.clicked.connect(self.searchRequested)

    def show_unread(self, count: int) -> None:
        """How many notices nobody has looked at in the list."""
        beside = Qt.ToolButtonStyle.ToolButtonTextBesideIcon if count else Qt.ToolButtonStyle.ToolButtonIconOnly
        self.bell.setText(str(count))
        self.bell.setToolButtonStyle(beside)
        self.bell.set_name(f"Notices: {count} new" if count else "Notices")

    def lane(self) -> QRect:
        """Where nothing can be pressed: between the count, or where it is narrow the project, and what is at the right."""
        first = self.next if self.next.isVisible() else self._find
        left, right = self.count.geometry().right() + t.SPACE_M, first.geometry().left() - t.SPACE_M
        if right - left < _LANE_WIDTH:
            left = self.project.geometry().right() + t.SPACE_M
        return QRect(left, 0, max(0, right - left), self.height())

    def show_project(self, name: str, count: str, suggestion: str) -> None:
        """Say where we are and what next."""
        self.project.set_text(words.shortened(name, _NAME_CHARS))
        self.project.setToolTip(plain_tip(name) if len(name) > _NAME_CHARS else "")
        self.project.setAccessibleName(f"Project: {name}")
        self.count.setText(count)
        self.next.set_text(suggestion or "Next step")
        self.next.setVisible(bool(suggestion))


class GivingButton(Button):
    """A button whose text ends in … when there is no room; its tooltip then has the whole."""

    def __init__(self, text: str, kind: Kind = "status", icon: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, kind, icon, parent=parent)
        place = self.sizePolicy()
        place.setHorizontalPolicy(QSizePolicy.Policy.Preferred)
        self.setSizePolicy(place)

    def minimumSizeHint(self) -> QSize:
        """Narrow on purpose: this button gives way."""
        return QSize(t.SPACE_XXL, super().minimumSizeHint().height())

    def shown(self) -> str:
        """As much of the text as fits."""
        measured = self.fontMetrics()
        around = self.sizeHint().width() - measured.horizontalAdvance(self.text())
        return measured.elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width() - around + 1)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw as much as fits."""
        option = QStyleOptionButton()
        self.initStyleOption(option)
        option.text = self.shown()  # type: ignore[attr-defined]  # PySide6's stubs lack the fields of style options
        QStylePainter(self).drawControl(QStyle.ControlElement.CE_PushButton, option)

    def event(self, event: QEvent) -> bool:
        """The tooltip says what is cut off."""
        if event.type() == QEvent.Type.ToolTip:
            self.setToolTip("" if self.shown() == self.text() else plain_tip(self.accessibleName()))
        return super().event(event)


class StatusBar(QFrame):
    """One quiet line at the bottom."""

    runRequested = Signal()
    modelRequested = Signal()
    networkRequested = Signal()
    wordsRequested = Signal(object)  # the button, where a menu may open

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("kind", "bar")
        self.setFixedHeight(t.STATUS_HEIGHT)
        across = row(self, 0, t.SPACE_S)
        across.setContentsMargins(t.SPACE_M, 0, t.SPACE_M, 0)
        self._model_icon = IconLabel("cpu", "muted", t.ICON_SMALL)
        self._model = GivingButton("No model yet")
        self._run_icon = IconLabel("play", "muted", t.ICON_SMALL)
        self._run = GivingButton("No run")
        across.addWidget(self._model_icon)
        across.addWidget(self._model)
        across.addSpacing(t.SPACE_L)
        across.addWidget(self._run_icon)
        across.addWidget(self._run)
        across.addStretch(1)
        words = self._words = Button("Glossary", "status", icon="book")
        words.setToolTip("Glossary: what the words on this screen mean")
        words.setAccessibleName(words.toolTip())
        words.clicked.connect(lambda: self.wordsRequested.emit(words))
        across.addWidget(words)
        across.addSpacing(t.SPACE_L)
        self._network_icon = IconLabel("wifi-off", "muted", t.ICON_SMALL)
        self._network = Button("", "status")
        across.addWidget(self._network_icon)
        across.addWidget(self._network)
        self._model.clicked.connect(self.modelRequested)
        self._run.clicked.connect(self.runRequested)
        self._network.clicked.connect(self.networkRequested)
        self.show_run("")
        self.show_network(False)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Where there is little room, the book alone leaves it to the model and the run."""
        super().resizeEvent(event)
        self._words.setText("Glossary" if self.width() >= icons.grown(t.CONTENT_WIDTH) else "")

    def show_model(self, text: str) -> None:
        """The model in use, and what it is doing."""
        self._model.set_text(text)

    def show_run(self, text: str) -> None:
        """The run under way; nothing without one."""
        self._run.set_text(text or "No run")
        self._run.setVisible(bool(text))
        self._run_icon.setVisible(bool(text))

    def show_network(self, offline: bool, why: str = "") -> None:
        """Whether anything can leave this computer."""
        self._network_icon.set_icon("wifi-off" if offline else "wifi", "muted")
        self._network.set_text("Offline: nothing leaves this computer" if offline else "Nothing is sent unless you ask for it")
        self._network.setToolTip(plain_tip(why))
