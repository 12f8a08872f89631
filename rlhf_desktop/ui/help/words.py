"""The words of the screen in front, explained: as a menu, and as the tooltip of the label they stand on."""

from collections.abc import Callable, Iterable

from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QHelpEvent
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QMenu, QTabBar, QToolTip, QWidget

from rlhf_desktop.ui.help.guide import CONTENTS
from rlhf_desktop.ui.help.terms import Term, terms_in

_TOOLTIP_TERMS = 3


def texts_on(root: QWidget) -> Iterable[str]:
    """What is written on labels, buttons and tabs; conversations and answers are nobody's vocabulary."""
    for widget in root.findChildren(QWidget):
        if not widget.isVisible():
            continue
        if isinstance(widget, QLabel | QAbstractButton):
            yield widget.text()
        elif isinstance(widget, QTabBar):
            yield from (widget.tabText(place) for place in range(widget.count()))


def terms_on(root: QWidget) -> list[Term]:
    """The technical words on a screen."""
    return terms_in(texts_on(root))


def menu(root: QWidget, at: QWidget, open_help: Callable[[str], None]) -> QMenu:
    """A menu of the words on a screen; each opens what it means.

    Args:
        root: The screen.
        at: What the menu belongs to.
        open_help: Shows a page of the guide.
    """
    made = QMenu(at)
    for term in terms_on(root):
        made.addAction(term.name, lambda target=term.target: open_help(target)).setToolTip(term.short)
    if not made.isEmpty():
        made.addSeparator()
    made.addAction("All words", lambda: open_help("glossary"))
    made.addAction("The guide", lambda: open_help(CONTENTS))
    made.setToolTipsVisible(True)
    return made


def lead(root: QWidget) -> str:
    """The words on a screen as links, for the top of its page; "" when there is none."""
    found = [f"[{term.name}](glossary.md#{term.target.partition('#')[2]})" for term in terms_on(root)]
    return f"*Words on this screen:* {' · '.join(found)}" if found else ""


class WordTips(QObject):
    """Tells what the words of a label mean where it has no tooltip of its own: tooltips nobody has come up to its parents."""

    def __init__(self, root: QWidget) -> None:
        super().__init__(root)
        root.installEventFilter(self)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        """Answer for the label under the pointer."""
        if not isinstance(event, QHelpEvent) or event.type() != QEvent.Type.ToolTip:
            return False
        label = QApplication.widgetAt(event.globalPos())
        said = tip(label.text()) if isinstance(label, QLabel) else ""
        if said:
            QToolTip.showText(event.globalPos(), said, label)
        return bool(said)


def tip(text: str) -> str:
    """What the technical words of a text mean, a line each."""
    return "\n".join(f"{term.name}: {term.short}" for term in terms_in([text])[:_TOOLTIP_TERMS])
