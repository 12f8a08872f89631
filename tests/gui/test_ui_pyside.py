"""What the window takes for granted of PySide, and not every version keeps."""

import subprocess
import sys

# `addLayout` makes objects for the items of `inner`. Qt deletes these with their widgets and tells nobody, and puts other widgets
# where they were. PySide 6.10 and 6.11 take the old object at the address for the new widget's, which has just gone: a crash.
SAME_ADDRESS = """
import ctypes
from PySide6.QtWidgets import QApplication, QLabel, QVBoxLayout, QWidget
from shiboken6 import delete

app, kept = QApplication([]), []
for _ in range(40):
    window, inner, labels = QWidget(), QVBoxLayout(), [QLabel() for _ in range(300)]
    for label in labels:
        inner.addWidget(label)
    QVBoxLayout(window).addLayout(inner)
    for label in labels:
        delete(label)
    labels.clear()
    del label
    ctypes.create_string_buffer(100_000)  # joins what was freed
    later = QWidget()
    for _ in range(3000):
        QWidget(later)
    delete(later)
    kept.append((window, inner))
"""


def test_a_widget_may_go_where_the_item_of_a_layout_was():
    assert subprocess.run([sys.executable, "-c", SAME_ADDRESS], capture_output=True, timeout=300).returncode == 0
