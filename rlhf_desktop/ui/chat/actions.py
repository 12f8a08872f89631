"""What can be done to something, once: the same words behind ⋯, under the right button, and as buttons in sight."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QMenu, QWidget


@dataclass(frozen=True)
class Action:
    """One thing that can be done.

    Attributes:
        words: What it is called everywhere.
        do: Does it.
        icon: Its picture, where it has a button.
        key: How its key is written, where it has one.
        in_sight: Whether it has a button beside the text, and not only a line in the menu.
        apart: Whether a line stands before it in the menu.
    """

    words: str
    do: Callable[[], object]
    icon: str = ""
    key: str = ""
    in_sight: bool = False
    apart: bool = False


def fill(menu: QMenu, actions: Iterable[Action]) -> None:
    """Put them into a menu."""
    for action in actions:
        if action.apart and menu.actions():
            menu.addSeparator()
        words = action.words.replace("&", "&&")
        menu.addAction(f"{words}\t{action.key}" if action.key else words, action.do)


def popped(owner: QWidget) -> QMenu:
    """An empty menu that goes when it is closed."""
    menu = QMenu(owner)
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    return menu


def show_menu(owner: QWidget, actions: Iterable[Action], at: QPoint) -> QMenu:
    """Show them at a place of the screen."""
    menu = popped(owner)
    fill(menu, actions)
    menu.popup(at)
    return menu


def below(button: QWidget) -> QPoint:
    """Where a button's menu belongs."""
    return button.mapToGlobal(QPoint(0, button.height()))
