"""The shipped fonts. Loaded once, before the first widget."""

from PySide6.QtGui import QFont, QFontDatabase, QFontInfo

from rlhf_desktop.core.paths import resources_dir
from rlhf_desktop.ui.theme import tokens as t


def load() -> None:
    """Register Inter and JetBrains Mono with Qt. Missing files leave the system's fonts in their place."""
    for path in sorted((resources_dir() / "fonts").glob("*.[ot]tf")):
        QFontDatabase.addApplicationFont(str(path))


def text_scale(system: QFont) -> float:
    """How much larger than usual this user's system font is, 1 to 2.5."""
    return min(2.5, max(1.0, QFontInfo(system).pixelSize() / t.SYSTEM_FONT_PX))


def font(size: int, scale: float = 1.0, weight: int = t.WEIGHT_REGULAR, code: bool = False) -> QFont:
    """The text font (or the code font) at a token size."""
    made = QFont(t.FONT_CODE if code else t.FONT_TEXT)
    made.setPixelSize(round(size * scale))
    made.setWeight(QFont.Weight(weight))
    return made
