"""Every screen with real content, at the smallest usual size, with text as usual and half as large again: named, whole, in place.

The screens are those of `packaging/screenshots.py`, so what has a picture has these checks.
"""

import re
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, QRect, Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QHeaderView,
    QLabel,
    QLayout,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QScrollArea,
    QScrollBar,
    QSlider,
    QTabBar,
    QTextBrowser,
    QToolButton,
    QWidget,
)

from rlhf_desktop.core.measures import ModelCheck, RowSize
from rlhf_desktop.operations import preflight
from rlhf_desktop.ui.chat import conversation_list
from rlhf_desktop.ui.feedback import filters
from rlhf_desktop.ui.frame.room import ROOMS
from rlhf_desktop.ui.help import guide, words
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.help.terms import places_in, terms_in
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.train import startpanel
from rlhf_desktop.ui.widgets.text import ElidedLabel

sys.path.insert(0, str(Path(__file__).parents[2] / "packaging"))
import screenshot_studio
import screenshots

CONTROLS = (
    QAbstractButton, QAbstractItemView, QAbstractSpinBox, QComboBox, QLineEdit, QPlainTextEdit, QProgressBar, QSlider, QTabBar,
    QTextBrowser,
)  # fmt: skip
PAUSES = ((t, "MOTION_MS"), (filters, "_PAUSE_MS"), (conversation_list, "_SEARCH_PAUSE_MS"), (startpanel, "_SETTLE_MS"))
INNER = (QScrollBar, QHeaderView)  # parts of a control that Qt makes and names itself
TECHNICAL = re.compile(  # words of the field that no screen may use without an explanation at hand
    r"\b(?:SFT|DPO|KTO|PPO|RLHF|KL|GAE|ECE|GGUF|LoRA|adapters?|reward models?|policy|fine-tuning|reinforcement learning|held.out|"
    r"confidence|intervals?|calibration|perplexity|entropy|temperature|top.p|sampling|tokens?|gradients?|epochs?|learning rate|"
    r"batch(?: size)?|minibatch(?:es)?|loss|margins?|beta|seed|nats?|checkpoints?|quanti[sz]ed|4.bit|bfloat16|float16|float32|"
    r"safetensors|Krippendorff\S*|chat template|ensemble|scorers?|warm.up|clip(?:ping)?|watchdog|win rates?|side effects?|drift)\b",
)
SLACK_PX = 2  # a hint is rounded up


def sound(base, rows):
    """A model that is well, without a worker that looks at it."""
    sizes = [RowSize(prompt=20, answers=[10] * len(row.answers)) for row in rows]
    return ModelCheck(has_template=True, end_token="<|im_end|>", end_is_trained=True, sizes=sizes)


@pytest.fixture(scope="module", params=[100, 150], ids=["100%", "150%"])
def studio(request, qapp, dressed, tmp_path_factory):
    """A window on a filled workspace. Text is made larger when every room is there already, as by Ctrl and +."""
    folder, font = tmp_path_factory.mktemp("screens"), qapp.font()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RLHF_DESKTOP_STATE", str(folder / "state"))
        for module, name in PAUSES:
            patched.setattr(module, name, 0)
        patched.setattr(screenshot_studio, "REST_MS", 20)
        patched.setattr(preflight, "check_model", sound)
        made = screenshots.Studio(qapp, folder / "workspace", (t.WINDOW_WIDTH, t.WINDOW_HEIGHT), 1.0)
        for spec in ROOMS if request.param != 100 else ():
            made.window.show_room(spec.key)
        made.theme.set_text_size(request.param)
        yield made
        made.close()
        made.window.deleteLater()
        QCoreApplication.sendPostedEvents(made.window, QEvent.Type.DeferredDelete)  # or all of it would be dressed once more
        qapp.setFont(font)
        dressed.set_mode("light")


def seen(root: QWidget) -> list[QWidget]:
    return [widget for widget in root.findChildren(QWidget) if widget.isVisible()]


def named(widget: QWidget) -> str:
    said = widget.accessibleName() or getattr(widget, "text", str)()
    has, takes = widget.size(), widget.sizeHint()
    room = f"{has.width()}×{has.height()} of {takes.width()}×{takes.height()}"
    return f"{type(widget).__name__} “{said}” in {type(widget.parent()).__name__}, {room}"


def nameless(root: QWidget) -> list[str]:
    """Controls that those who hear the screen know nothing of."""
    inside = [w for w in seen(root) if isinstance(w, CONTROLS) and not isinstance(w, INNER) and not w.accessibleName()]
    return [named(w) for w in inside if not w.objectName().startswith("qt_") and w.metaObject().className() != "QTableCornerButton"]


def cut(root: QWidget) -> list[str]:
    """Words that have less room than they take. Those that end in … on purpose are left out."""
    return [named(widget) for widget in seen(root) if _is_cut(widget)]


def _is_cut(widget: QWidget) -> bool:
    if isinstance(widget, QLabel) and not isinstance(widget, ElidedLabel) and widget.text():
        if widget.wordWrap():
            return widget.heightForWidth(widget.width()) > widget.height() + SLACK_PX
        return widget.sizeHint().width() > widget.width() + SLACK_PX or widget.sizeHint().height() > widget.height() + SLACK_PX
    if isinstance(widget, QToolButton):
        return False  # an icon alone; its words are beside the rail when it opens
    if isinstance(widget, QAbstractButton) and widget.text():
        yields = widget.minimumSizeHint().width() < widget.sizeHint().width()
        wide = 0 if yields else widget.sizeHint().width()
        return wide > widget.width() + SLACK_PX or widget.sizeHint().height() > widget.height() + SLACK_PX
    if isinstance(widget, QLineEdit | QComboBox):
        text = widget.currentText() if isinstance(widget, QComboBox) else widget.placeholderText()
        return widget.fontMetrics().horizontalAdvance(text) > widget.width()
    return False


def without_its_end(root: QWidget) -> list[str]:
    """Words that end in … on purpose, and whose end is nowhere to be had. (Buttons make their tooltips when asked.)"""
    labels = [widget for widget in seen(root) if isinstance(widget, ElidedLabel)]
    short = [w for w in labels if w.fontMetrics().horizontalAdvance(w.text()) > w.contentsRect().width() + SLACK_PX]
    return [named(w) for w in short if w.text() not in " ".join(w.toolTip().split())]


def hidden_at_the_side(root: QWidget) -> list[str]:
    """Controls and words that reach over the right edge of what scrolls only up and down."""
    found = []
    for area in (widget for widget in seen(root) if isinstance(widget, QScrollArea)):
        for widget in seen(area.widget()):
            right = widget.mapTo(area.widget(), QPoint(0, 0)).x() + widget.width()
            if isinstance(widget, (*CONTROLS, QLabel)) and right > area.viewport().width() + SLACK_PX:
                found.append(named(widget))
    return found


def unexplained(root: QWidget) -> list[str]:
    """Technical words on a screen that its glossary does not offer."""
    offered = {name.casefold() for term in words.terms_on(root) for name in term.names}
    said = {(match[0], text) for text in words.texts_on(root) for match in TECHNICAL.finditer(text)}
    return sorted(f"{word} in “{text}”" for word, text in said if word.casefold() not in offered and not terms_in([text]))


def unlinked(root: QWidget) -> list[str]:
    """Technical words that are explained, but nowhere on the screen lead there. One line that ends in … is a list's, not a text."""
    labels = [w for w in seen(root) if isinstance(w, QLabel) and not isinstance(w, ElidedLabel)]
    linked = {term for w in labels if isinstance(w, TermLabel) for _start, _end, term in places_in(w.text())}
    plain = ((term, w.text()) for w in labels if not _is_named(w) for _start, _end, term in places_in(w.text()))
    return sorted({f"{term.name} in “{text}”" for term, text in plain if term not in linked})


def _is_named(label: QLabel) -> bool:
    """Whether it is the program's name, or what somebody wrote."""
    return any(
        words in label.text() for words in ("RLHF Desktop", "(held out", "policy is made up")
    )  # the last two: of the content


def without_help(root: QWidget) -> list[str]:
    """The page that F1 would open, if the guide does not have it."""
    name, _, anchor = root.help.place().partition("#")
    there = name in guide.page_names() and (not anchor or anchor in {each.anchor for each in guide.page(name).sections})
    return [] if there else [root.help.place()]


def overlapping(root: QWidget) -> list[str]:
    """Neighbours that lie over each other."""
    found = []
    for parent in (root, *seen(root)):
        if parent.layout() is None:
            continue
        children = [
            w
            for w in parent.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly)
            if w.isVisible() and _laid_out(parent, w)
        ]
        for place, one in enumerate(children):
            for other in children[place + 1 :]:
                common: QRect = one.geometry() & other.geometry()
                if common.width() > SLACK_PX and common.height() > SLACK_PX:
                    found.append(f"{named(one)} over {named(other)}")
    return found


def _laid_out(parent: QWidget, widget: QWidget) -> bool:
    return _holds(parent.layout(), widget)


def _holds(layout: QLayout, widget: QWidget) -> bool:
    """Whether a layout, or one within it, places a widget. What floats over the others is in none."""
    return any(one.indexOf(widget) >= 0 for one in (layout, *layout.findChildren(QLayout)))


LOOKS = (nameless, cut, without_its_end, hidden_at_the_side, overlapping, unexplained, unlinked, without_help)


@pytest.mark.parametrize("screen", screenshots.SCENES)
def test_a_screen_is_named_whole_and_in_place(studio, screen):
    screenshots.SCENES[screen](studio)
    for _ in range(4):  # until what is worked out in the background has arrived and is laid out
        studio.settle(1)
        studio.show_loaded()
        found = [look(studio.window) for look in LOOKS]
        if not any(found):
            return
    assert dict(zip([look.__name__ for look in LOOKS], found, strict=True)) == {look.__name__: [] for look in LOOKS}
