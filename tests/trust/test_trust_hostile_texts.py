"""Hostile answers on the screen: how long the window stands still at most. (What they open is watched in `tests/gui`.)"""

import os
import time

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget

from rlhf_desktop.ui.theme.style import Theme
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from tests.trust.hostile_texts import hostile
from tests.trust.rows import STALL

LONG_MS = 100  # worth a line


@pytest.mark.acceptance  # measures memory or time: alone on the machine, as `make trust` runs it
@pytest.mark.trust("hostile-texts", 100)
@pytest.mark.timeout(7200)
def test_no_answer_stops_the_window(qapp: QApplication, trust):
    theme, holder = Theme(qapp, "light"), QWidget()
    view = MarkdownView()
    QVBoxLayout(holder).addWidget(view)
    holder.resize(700, 800)
    holder.show()
    QCoreApplication.processEvents()
    for number in trust.numbers:
        text = hostile(number)
        began = time.thread_time()  # of this thread: another program's work is no stall of ours
        view.set_text(text)
        QCoreApplication.processEvents()
        holder.grab()
        took_ms = 1000 * (time.thread_time() - began)
        trust.tried += 1
        trust.measured(STALL, took_ms)
        if took_ms > LONG_MS:
            print(f"{number} ({len(text)} characters of form {number % 10}): {took_ms:.0f} ms")
        view.set_text("")
    theme.deleteLater()
