"""Line icons (24 × 24, resources/icons), tinted with a token. Widgets re-ask for them when the palette changes."""

from functools import lru_cache

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QGuiApplication, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from rlhf_desktop.core.paths import resources_dir
from rlhf_desktop.ui.application import application
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import current


@lru_cache(maxsize=256)
def _source(name: str) -> str:
    return (resources_dir() / "icons" / f"{name}.svg").read_text("utf-8")


@lru_cache(maxsize=512)
def _tinted(name: str, colour: str, size: int, ratio: float) -> QPixmap:
    svg = _source(name).replace("currentColor", colour)
    picture = QPixmap(QSize(round(size * ratio), round(size * ratio)))
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(picture.rect()))
    painter.end()
    picture.setDevicePixelRatio(ratio)
    return picture


def grown(size: int) -> int:
    """A size in pixels beside text of the size in use: an icon's, or a page's width."""
    return round(size * max(1.0, QGuiApplication.font().pixelSize() / t.TYPE_BODY))


def pixmap(name: str, role: t.Role = "text", size: int = t.ICON) -> QPixmap:
    """One icon in one colour of the theme in use."""
    return _tinted(name, current().colour(role), size, application().devicePixelRatio())


def icon(name: str, role: t.Role = "text", size: int = t.ICON) -> QIcon:
    """An icon for a control, with a quieter picture while it is disabled."""
    made = QIcon(pixmap(name, role, size))
    made.addPixmap(pixmap(name, "line", size), QIcon.Mode.Disabled)
    return made
