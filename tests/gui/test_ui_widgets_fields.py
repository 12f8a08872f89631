"""Drop-down lists show whole entries, at any text size and place."""

import re
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QWidget

from rlhf_desktop import ui
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.sheet import stylesheet
from rlhf_desktop.ui.widgets.fields import DecimalField, NumberField, choice
from rlhf_desktop.ui.widgets.surfaces import column

LONG = "The model as it was before any of the runs that you have trained"


@pytest.fixture(params=[1.0, 1.5])
def dressed_at(request, qapp, theme):
    before, font = qapp.styleSheet(), qapp.font()
    grown = qapp.font()
    grown.setPixelSize(round(13 * request.param))
    qapp.setFont(grown)
    qapp.setStyleSheet(stylesheet(t.LIGHT, request.param))
    yield request.param
    qapp.setFont(font)
    qapp.setStyleSheet(before)


def dropped(qtbot, entries, down=0):
    host = QWidget()
    box, field = column(host), choice("Things")
    field.addItems(entries)
    field.setSizeAdjustPolicy(field.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.addWidget(field)
    box.addStretch(1)
    host.resize(200, 60)
    host.move(host.screen().availableGeometry().topLeft() + QPoint(40, down))
    qtbot.addWidget(host)
    host.show()
    field.showPopup()
    qtbot.waitUntil(field.view().isVisible)
    return host, field


@pytest.mark.parametrize("count", [1, 2, 4, 9, 12])
def test_up_to_twelve_entries_are_all_seen_whole(qtbot, dressed_at, count):
    _host, field = dropped(qtbot, [f"{n}: {LONG}" for n in range(count)])
    view = field.view()
    seen = view.viewport().rect()
    assert all(seen.contains(view.visualRect(view.model().index(row, 0))) for row in range(count))
    assert view.sizeHintForColumn(0) <= seen.width()  # no text is cut
    assert not view.verticalScrollBar().isVisible()
    field.hidePopup()


@pytest.mark.parametrize("down", [0, 250, 480, 640])
def test_more_are_scrolled_by_whole_entries_wherever_there_is_room(qtbot, dressed_at, down):
    host, field = dropped(qtbot, [f"{n}: {LONG}" for n in range(40)], down)
    view, popup = field.view(), field.view().window()
    assert view.viewport().height() % view.sizeHintForRow(0) == 0
    assert host.screen().availableGeometry().contains(popup.geometry())
    covered = popup.geometry().intersected(field.rect().translated(field.mapToGlobal(QPoint(0, 0))))
    assert covered.height() <= 2  # the field stays in sight, but for its border
    field.hidePopup()


def test_keys_and_letters_choose(qtbot, dressed_at):
    _host, field = dropped(qtbot, ["Accuracy", "Brevity", "Tone", "Warmth"])
    qtbot.keyClick(field.view(), Qt.Key.Key_T)
    assert field.view().currentIndex().data() == "Tone"
    qtbot.keyClick(field.view(), Qt.Key.Key_Down)
    qtbot.keyClick(field.view(), Qt.Key.Key_Return)
    assert field.currentText() == "Warmth"
    assert not field.view().isVisible()


@pytest.mark.parametrize("make", [lambda: choice("Things"), DecimalField, NumberField], ids=["choice", "decimal", "number"])
def test_the_wheel_scrolls_the_page_and_leaves_the_field_as_it_is(qtbot, make):
    """Reading on through a page set the text size, or a learning rate, that happened to be under the mouse."""
    field = make()
    qtbot.addWidget(field)
    if hasattr(field, "addItems"):
        field.addItems(["one", "two", "three"])
    field.show()
    before = field.property("currentIndex"), field.property("value")
    middle, none = QPointF(field.rect().center()), Qt.MouseButton.NoButton
    at = QPointF(field.mapToGlobal(field.rect().center()))
    turn = QWheelEvent(
        middle, at, QPoint(0, 0), QPoint(0, -120), none, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False
    )
    QApplication.sendEvent(field, turn)
    assert (field.property("currentIndex"), field.property("value")) == before
    assert not turn.isAccepted()  # so Qt offers it to what the field stands in
    assert not field.focusPolicy() & Qt.FocusPolicy.WheelFocus & ~Qt.FocusPolicy.StrongFocus


def test_every_field_in_the_program_is_one_of_these():
    raw = re.compile(r"\bQ(ComboBox|SpinBox|DoubleSpinBox|DateEdit)\(\)")
    files = [path for path in Path(ui.__file__).parent.rglob("*.py") if raw.search(path.read_text(encoding="utf-8"))]
    assert files == []
