"""Turns the tokens into Qt's palette and one stylesheet, and switches between light, dark and the system's choice while running."""

from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, Qt, QTemporaryDir, Signal
from PySide6.QtGui import QColor, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from rlhf_desktop.core.paths import resources_dir
from rlhf_desktop.ui.theme import fonts
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.sheet import stylesheet

Mode = Literal["system", "light", "dark"]
TEXT_SIZES = (80, 90, 100, 110, 125, 150, 175, 200)  # in percent of what the system's font asks for
USUAL_SIZE = 100
_LARGEST_SCALE = 3.0


def current() -> t.Palette:
    """The palette in use, read off the application's own, so that it is held in one place only."""
    window = QGuiApplication.palette().color(QPalette.ColorRole.Window).name().upper()
    return t.DARK if window == t.DARK.bg else t.LIGHT


def qt_palette(colours: t.Palette) -> QPalette:
    """Qt's palette from ours, for whatever the stylesheet does not reach."""
    role = QPalette.ColorRole
    pairs = {
        role.Window: colours.bg,
        role.WindowText: colours.text,
        role.Base: colours.surface,
        role.AlternateBase: colours.bg,
        role.Text: colours.text,
        role.Button: colours.surface,
        role.ButtonText: colours.text,
        role.Highlight: colours.accent,
        role.HighlightedText: colours.on_accent,
        role.PlaceholderText: colours.muted,
        role.ToolTipBase: colours.raised,
        role.ToolTipText: colours.text,
        role.Link: colours.accent,
        role.Mid: colours.line,
        role.Accent: colours.accent,
    }
    made = QPalette()
    for which, colour in pairs.items():
        made.setColor(which, QColor(colour))
    for which in (role.WindowText, role.Text, role.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, which, QColor(colours.line))
    return made


class Theme(QObject):
    """Dresses the application. Make one, before the first widget; `set_mode` and `set_text_size` at any time."""

    changed = Signal()

    textSizeChanged = Signal(int)  # percent

    def __init__(self, app: QApplication, mode: Mode = "system", text_size: object = USUAL_SIZE) -> None:
        super().__init__(app)
        self._app = app
        self._mode: Mode = mode
        self._text_size = text_size if isinstance(text_size, int) and text_size in TEXT_SIZES else USUAL_SIZE
        self._system_scale = fonts.text_scale(app.font())
        self._pictures = QTemporaryDir()
        fonts.load()
        app.setStyle("Fusion")
        app.styleHints().colorSchemeChanged.connect(self._system_changed)
        self._apply()

    @property
    def mode(self) -> Mode:
        """What the user chose."""
        return self._mode

    def set_mode(self, mode: Mode) -> None:
        """Follow the system, or stay light or dark."""
        self._mode = mode
        self._apply()

    @property
    def scale(self) -> float:
        """How much larger text is than the tokens say: as the system's font, and as the user chose on top."""
        return min(_LARGEST_SCALE, self._system_scale * self._text_size / 100)

    @property
    def text_size(self) -> int:
        """What the user chose, in percent."""
        return self._text_size

    def set_text_size(self, percent: int) -> None:
        """Make all text larger or smaller, at once. Of `TEXT_SIZES` the nearest is taken."""
        nearest = min(TEXT_SIZES, key=lambda size: abs(size - percent))
        if nearest != self._text_size:
            self._text_size = nearest
            self._apply()
            self.textSizeChanged.emit(nearest)

    def step_text_size(self, by: int) -> None:
        """The next larger size, or the next smaller; 0: the usual one."""
        place = TEXT_SIZES.index(self._text_size) + by
        self.set_text_size(TEXT_SIZES[min(max(place, 0), len(TEXT_SIZES) - 1)] if by else USUAL_SIZE)

    def _system_changed(self) -> None:
        if self._mode == "system":
            self._apply()

    def _wanted(self) -> t.Palette:
        if self._mode == "system":
            return t.DARK if self._app.styleHints().colorScheme() == Qt.ColorScheme.Dark else t.LIGHT
        return t.DARK if self._mode == "dark" else t.LIGHT

    def _picture(self, icon: str, colours: t.Palette, role: t.Role) -> str:
        """A tinted icon as a file: stylesheets take pictures in no other way."""
        source = (resources_dir() / "icons" / f"{icon}.svg").read_text("utf-8")
        path = Path(self._pictures.path()) / f"{icon}-{colours.name}.svg"
        path.write_text(source.replace("currentColor", colours.colour(role)), "utf-8")
        return path.as_posix()

    def _apply(self) -> None:
        colours, wanted = self._wanted(), fonts.font(t.TYPE_BODY, self.scale)
        if self._app.font() != wanted:
            self._app.setFont(wanted)
        self._app.setPalette(qt_palette(colours))
        arrow, tick = self._picture("chevron-down", colours, "muted"), self._picture("check", colours, "on_accent")
        self._app.setStyleSheet(stylesheet(colours, self.scale, arrow, tick))
        self.changed.emit()
