"""Every control of every room has a name for those who hear the screen."""

import pytest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QTextBrowser,
    QWidget,
)

from rlhf_desktop.ui.frame.room import ROOMS
from rlhf_desktop.ui.widgets.fields import Choice

CONTROLS = (QAbstractButton, QAbstractItemView, QComboBox, QLineEdit, QPlainTextEdit, QTextBrowser, QProgressBar)


@pytest.mark.parametrize("spec", [spec for spec in ROOMS if spec.key != "chat"], ids=lambda spec: spec.key)
def test_every_control_of_a_room_has_a_name(qtbot, context, spec):
    room = spec.make(context)
    qtbot.addWidget(room.widget())
    if spec.key == "train":
        from rlhf_desktop.ui.train.startpanel import StartPanel

        for algorithm in ("sft", "reward", "ppo", "dpo", "kto"):
            room.overview._panel_place.addWidget(StartPanel(algorithm, "Tiny", [], [], set(), None))
    nameless = [
        widget.metaObject().className()
        for widget in room.widget().findChildren(QWidget)
        if isinstance(widget, CONTROLS) and not widget.accessibleName() and not widget.objectName().startswith("qt_")
    ]
    assert [name for name in nameless if name not in ("QComboBoxListView", "QTableCornerButton", "QHeaderView")] == []
    assert all(isinstance(field, Choice) for field in room.widget().findChildren(QComboBox))  # lists of whole entries
    assert room.title
    assert room.icon
