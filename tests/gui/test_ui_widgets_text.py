"""Text stands where its script begins."""

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import Qt as QtGuiNames
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QApplication

from rlhf_desktop.ui.judging.marks import MarkableText
from rlhf_desktop.ui.judging.writing import LongEdit
from rlhf_desktop.ui.widgets.buttons import IconButton
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.text import ElidedLabel, PartsLabel, leftwards


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", False), ("12 → 3", False), ("Hello أهلا", False), ("أهلا hello", True), ("“שלום”", True), ("ж", False)],
)
def test_the_first_letter_decides(text, expected):
    assert leftwards(text) is expected


@pytest.mark.parametrize("name", ["plain", "a < b", "<b>bold</b>", 'x <img src="file:///etc/passwd">', "1 & 2 <i>"])
@pytest.mark.parametrize("make", [ElidedLabel, lambda name: IconButton("trash", name)])
def test_a_tooltip_shows_somebodys_words_as_they_are(qtbot, name, make):
    widget = make(name)
    qtbot.addWidget(widget)
    shown = QTextDocument()
    if QtGuiNames.mightBeRichText(widget.toolTip()):  # as Qt's tooltip decides
        shown.setHtml(widget.toolTip())
    else:
        shown.setPlainText(widget.toolTip())
    assert shown.toPlainText() == name


def test_a_correction_in_arabic_stands_at_the_right(qtbot):
    edit = LongEdit("Correction", "أعتذر بشدة عن تأخر خلاطك")
    qtbot.addWidget(edit)
    edit.resize(600, 200)
    edit.show()
    assert edit.document().defaultTextOption().alignment() == Qt.AlignmentFlag.AlignRight
    assert edit.cursorRect().left() > 300
    edit.setPlainText("I am sorry.")
    assert edit.document().defaultTextOption().alignment() == Qt.AlignmentFlag.AlignLeft


def test_arabic_to_be_marked_is_not_cut_off(qtbot):
    text = MarkableText("أعتذر بشدة عن تأخر خلاطك وأفهم مدى إزعاج الانتظار " * 4, "Answer A")
    qtbot.addWidget(text)
    text.resize(300, 200)
    text.show()
    line = text.document().firstBlock().layout().lineAt(0)
    assert line.naturalTextRect().left() >= 0
    assert line.naturalTextRect().right() <= text.viewport().width() + 1


def test_a_text_to_be_marked_is_as_tall_as_what_is_drawn(qtbot):
    text = MarkableText("One line\nأعتذر بشدة عن تأخر خلاطك\n中文字\n😟 three 😟\nlast", "Answer A")
    qtbot.addWidget(text)
    text.resize(400, 100)
    text.show()
    last = text.document().lastBlock()
    assert text.blockBoundingGeometry(last).bottom() <= text.height()


def test_a_text_is_dressed_again_for_another_look_and_not_for_the_same(qtbot):
    dressed = []

    class Counted(MarkdownView):
        def _dress(self):
            dressed.append(self.font().pixelSize())
            super()._dress()

    view = Counted("Some **text** and `code`.")
    qtbot.addWidget(view)
    view.show()
    dressed.clear()
    QApplication.sendEvent(view, QEvent(QEvent.Type.StyleChange))
    assert dressed == []
    view.setStyleSheet("font-size: 31px")
    assert dressed[-1:] == [31]
    assert view.document().defaultFont().pixelSize() == 31


def test_a_part_that_does_not_fit_is_left_out_whole(qtbot):
    label = PartsLabel("113 of 8,192 tokens · 8.7 tokens/s")
    qtbot.addWidget(label)
    width = label.fontMetrics().horizontalAdvance
    label.resize(width(label.text()) + 2, 20)
    assert label.shown() == "113 of 8,192 tokens · 8.7 tokens/s"
    label.resize(width(label.text()) - 10, 20)
    assert label.shown() == "113 of 8,192 tokens"
    label.resize(width("113 of 8,192"), 20)
    assert label.shown() == ""
    assert label.toolTip() == label.text()
