"""What a key press says, the same in every room where answers are judged and on every keyboard.

* One press is one verdict: what a held key repeats is passed over (`event.isAutoRepeat()`).
* Ctrl, Alt and Cmd make another meaning. Shift does not: the digits of AZERTY and the = of QWERTZ need it.
* Digits and signs are what is typed. Letters are those of the Latin alphabet; where the keyboard writes another one, the key counts
  that has the letter's place on QWERTY, as the shortcuts of other programs do.
"""

import sys
import unicodedata

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent

_MODIFIERS = Qt.KeyboardModifier
_HARMLESS = _MODIFIERS.ShiftModifier | _MODIFIERS.KeypadModifier | _MODIFIERS.GroupSwitchModifier
_SIGNS = {"=": "=", "+": "+", "-": "-", "−": "-"}
_ROWS = ((16, "QWERTYUIOP"), (30, "ASDFGHJKL"), (44, "ZXCVBNM"))  # PC scan codes: Linux and Windows number them alike
_SCAN = {first + place: letter for first, row in _ROWS for place, letter in enumerate(row)}
_XKB_OFFSET = 8  # what X11 and Wayland add
_MAC = dict(enumerate("ASDFHGZXCV")) | {11: "B", 12: "Q", 13: "W", 14: "E", 15: "R", 16: "Y", 17: "T", 31: "O", 32: "U", 34: "I",
                                        35: "P", 37: "L", 38: "J", 40: "K", 45: "N", 46: "M"}  # fmt: skip


def is_plain(event: QKeyEvent) -> bool:
    """Whether no modifier makes another meaning of the key."""
    return not event.modifiers() & ~_HARMLESS


def symbol(event: QKeyEvent, system: str = sys.platform) -> str:
    """The digit, the sign (=, +, -) or the capital letter that a plain press says; "" when it says none of them."""
    if not is_plain(event):
        return ""
    text = event.text()
    if len(text) == 1 and (typed := _typed(text)):
        return typed
    key = event.key()
    if 0x20 < key < 0x7F and (not text or not text.isprintable()):  # a key sent without its text
        return _typed(chr(key))
    foreign = text.isalpha() and not unicodedata.name(text[0], "LATIN").startswith("LATIN")
    return _in_place_of(event, system) if foreign else ""


def digit(event: QKeyEvent) -> int | None:
    """The digit that is typed, in whatever script; None for other keys."""
    said = symbol(event)
    return int(said) if said.isdigit() else None


def _typed(text: str) -> str:
    if (value := unicodedata.decimal(text, None)) is not None:
        return str(value)
    capital = text.upper()
    return capital if "A" <= capital <= "Z" else _SIGNS.get(text, "")


def _in_place_of(event: QKeyEvent, system: str) -> str:
    """The Latin letter at the place of a key that writes another alphabet."""
    if system == "darwin":
        return _MAC.get(event.nativeVirtualKey(), "")
    code = event.nativeScanCode()
    return _SCAN.get(code if system == "win32" else code - _XKB_OFFSET, "")
