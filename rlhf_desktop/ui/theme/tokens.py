"""The design tokens: every colour, distance, radius and type size of the program, and nothing else defines one.

Colours are checked for contrast (WCAG 2.2) in tests/gui/test_theme_tokens.py.
"""

from dataclasses import dataclass
from typing import Literal

Role = Literal["text", "muted", "accent", "on_accent", "success", "warning", "danger", "line"]


@dataclass(frozen=True)
class Palette:
    """One theme's colours, as #RRGGBB."""

    name: Literal["light", "dark"]
    bg: str  # the window
    surface: str  # cards
    raised: str  # hover, selected, the user's own turns
    text: str
    muted: str
    line: str  # outlines of controls
    hairline: str  # dividers
    accent: str  # one primary action a screen, the focus ring, the best answer
    on_accent: str
    success: str
    warning: str
    danger: str

    def colour(self, role: Role) -> str:
        """The colour of a role, by name."""
        return str(getattr(self, role))


LIGHT = Palette(
    name="light",
    bg="#F7F7F5",
    surface="#FFFFFF",
    raised="#F0EFEB",
    text="#1D1D1B",
    muted="#5F5D57",
    line="#8C8981",
    hairline="#E2E0DA",
    accent="#2B59C3",
    on_accent="#FFFFFF",
    success="#1A7346",
    warning="#8A5A00",
    danger="#B3261E",
)
DARK = Palette(
    name="dark",
    bg="#151517",
    surface="#1E1E21",
    raised="#29292D",
    text="#EDEDEF",
    muted="#A9A9B2",
    line="#77777F",
    hairline="#343438",
    accent="#8FB0FF",
    on_accent="#10131A",
    success="#63CE95",
    warning="#E8B85B",
    danger="#FF8F85",
)

# Distances, in pixels at a text scale of 1.
SPACE_XS, SPACE_S, SPACE_M, SPACE_L, SPACE_XL, SPACE_XXL = 4, 8, 12, 16, 24, 32
RADIUS_CONTROL, RADIUS_CARD = 6, 10
BORDER, FOCUS_RING = 1, 2

# Type, in pixels at a text scale of 1; grows with the system's font (see `theme.style.text_scale`).
TYPE_CAPTION, TYPE_BODY, TYPE_ANSWER, TYPE_HEADING, TYPE_TITLE = 12, 13, 15, 18, 24
WEIGHT_REGULAR, WEIGHT_STRONG = 400, 600
LINE_HEIGHT_PERCENT = 145
MEASURE_CHARACTERS = 72
FONT_TEXT, FONT_CODE = "Inter", "JetBrains Mono"
SYSTEM_FONT_PX = 15  # desktops' usual font; a larger one enlarges everything

# Parts of the frame.
ICON, ICON_SMALL, ICON_LARGE = 20, 16, 40
CONTROL_HEIGHT = 32
RAIL_WIDTH, RAIL_WIDTH_OPEN = 56, 176
SIDEBAR_WIDTH = 264
HEADER_HEIGHT, STATUS_HEIGHT = 52, 30
WINDOW_WIDTH, WINDOW_HEIGHT = 1280, 800
WINDOW_MIN_WIDTH, WINDOW_MIN_HEIGHT = 800, 560
SIDE_BY_SIDE_MIN = 1100  # a window at least this wide shows answers side by side
ANSWER_MIN_WIDTH = 300  # an answer narrower than this is tiring to read
ANSWER_MIN_HEIGHT = 180  # one lower than this is read through a slit
PALETTE_WIDTH = 560
HELP_WIDTH, HELP_MIN_WIDTH = 400, 320
FORM_WIDTH = 640
CONTENT_WIDTH = 960
WIDE_WIDTH = 1160  # rooms with several columns of cards
CHART_HEIGHT = 148

# Motion and time, in milliseconds.
MOTION_MS = 150
TOAST_MS = 5000
FRAME_MS = 33  # streamed text is drawn about 30 times a second


def luminance(colour: str) -> float:
    """Relative luminance of #RRGGBB, 0 to 1 (WCAG 2.2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def mix(a: str, b: str, share: float) -> str:
    """The colour `share` of the way from `a` to `b`."""
    pairs = [(int(a[i : i + 2], 16), int(b[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(x + (y - x) * share):02X}" for x, y in pairs)
