"""Where the window stands: it fits the screen, title bar and all, and comes back as it was left."""

from collections.abc import Sequence

from pydantic import ValidationError
from PySide6.QtCore import QMargins, QObject, QRect
from PySide6.QtGui import QGuiApplication

from rlhf_desktop.core.runs import Value
from rlhf_desktop.store.projects import SettingsStore
from rlhf_desktop.ui.frame.room import ROOMS
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.theme import tokens as t

_SETTING = "window"
FRAME = QMargins(4, 40, 4, 4)
"""What systems put around a window, roughly: it is known only once the window is shown, which is too late."""

_GRIP = 120  # so much of the title bar has to be on a screen to be taken hold of


class Place(Value):
    """How a window was left; sizes and places without its frame, and as they are when it is not maximised."""

    x: int = 0
    y: int = 0
    width: int = t.WINDOW_WIDTH
    height: int = t.WINDOW_HEIGHT
    maximized: bool = False
    room: str = ROOMS[0].key


def fitted(wanted: QRect, screens: Sequence[QRect], *, anywhere: bool = False) -> QRect:
    """The nearest rectangle that lies on one screen with a frame around it.

    Args:
        wanted: Without the frame.
        screens: What can be used of each, the main one first.
        anywhere: In the middle of the main screen, wherever `wanted` lies.
    """
    grip = QRect(wanted.x(), wanted.y() - FRAME.top(), wanted.width(), FRAME.top())
    overlaps = [_area(screen.intersected(grip)) for screen in screens]
    is_held = not anywhere and max(overlaps) >= _GRIP * FRAME.top() // 2
    room = screens[overlaps.index(max(overlaps)) if is_held else 0].marginsRemoved(FRAME)
    made = QRect(wanted.topLeft(), wanted.size().boundedTo(room.size()))
    if not is_held:
        made.moveCenter(room.center())
    made.moveRight(min(made.right(), room.right()))
    made.moveBottom(min(made.bottom(), room.bottom()))
    made.moveLeft(max(made.left(), room.left()))
    made.moveTop(max(made.top(), room.top()))
    return made


def _area(rectangle: QRect) -> int:
    return max(0, rectangle.width()) * max(0, rectangle.height())


class Placing(QObject):
    """Puts a window where it was, and remembers where it is when another room is entered and when it is closed.

    Args:
        window: Not shown yet.
        settings: Of the workspace.
    """

    def __init__(self, window: Window, settings: SettingsStore) -> None:
        super().__init__(window)
        self._window, self._settings = window, settings
        self._place, self._is_first = _kept(settings)
        window.closed.connect(self.keep)
        window.roomChanged.connect(self._entered)  # at once: not every end of a program is a close

    @property
    def room(self) -> str:
        """The room that was in front."""
        known = {spec.key for spec in ROOMS}
        return self._place.room if self._place.room in known else ROOMS[0].key

    def show(self) -> None:
        """Show the window where it was; the first time in the middle of the screen."""
        place, window = self._place, self._window
        wanted = QRect(place.x, place.y, place.width, place.height)
        fits = fitted(wanted, _screens(), anywhere=self._is_first)
        window.setMinimumSize(window.minimumSize().boundedTo(fits.size()))
        window.setGeometry(fits)
        if place.maximized:
            window.showMaximized()
        else:
            window.show()

    def _entered(self, _key: str) -> None:
        if self._window.isVisible():  # before that it has no place
            self.keep()

    def keep(self) -> None:
        """Remember where the window is, and its room."""
        window = self._window
        normal = window.normalGeometry() if window.isMaximized() or window.isMinimized() else window.geometry()
        size = {"x": normal.x(), "y": normal.y(), "width": normal.width(), "height": normal.height()}
        place = Place(**size, maximized=window.isMaximized(), room=window.current_room or self._place.room)
        self._settings.set(_SETTING, place.model_dump(mode="json"))


def _kept(settings: SettingsStore) -> tuple[Place, bool]:
    """How the window was left, and whether nobody has ever left one."""
    kept = settings.get(_SETTING)
    if kept is None:
        return Place(), True
    try:
        return Place.model_validate(kept), False
    except ValidationError:  # of another version of the program
        return Place(), True


def _screens() -> list[QRect]:
    """What can be used of each screen, the main one first."""
    main = QGuiApplication.primaryScreen()
    others = [screen for screen in QGuiApplication.screens() if screen is not main]
    return [screen.availableGeometry() for screen in (main, *others)]
