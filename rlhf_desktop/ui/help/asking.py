"""F1 in dialogs, which a window's own keys do not reach."""

from PySide6.QtGui import QWhatsThisClickedEvent
from PySide6.QtWidgets import QApplication, QWidget

from rlhf_desktop.ui.frame import keymap


def offer_help(dialog: QWidget, owner: QWidget | None) -> None:
    """Have F1 in a dialog open the page of the room it came from. The dialog stays, and what has the focus in it too.

    Args:
        dialog: Not shown yet.
        owner: The widget of the room that asks; None: there is no room.
    """
    if owner is not None:
        keymap.listen(dialog, "help", lambda: QApplication.sendEvent(owner, QWhatsThisClickedEvent("")))
