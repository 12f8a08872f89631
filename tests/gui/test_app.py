"""The program's window in a process of its own."""

import os
import subprocess
import sys

PROBE = """
import sys
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from rlhf_desktop import app
from rlhf_desktop.core.paths import Workspace
from pathlib import Path
qt = QApplication([])
qt.setQuitOnLastWindowClosed(False)
desktop = app.Desktop(qt, Workspace(Path(sys.argv[1])).ensure())
desktop.desk.begin = lambda: None
desktop.open()
desktop.window.show_room("chat")
QTimer.singleShot(0, desktop.window.close)
qt.exec()
desktop.put_away()
heavy = {"torch", "transformers", "peft", "pyqtgraph"} & set(sys.modules)
print("heavy:", sorted(heavy))
"""


def test_the_window_opens_and_closes_without_torch(tmp_path):
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "RLHF_DESKTOP_STATE": str(tmp_path / "state")}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(tmp_path / "workspace")], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "heavy: []" in done.stdout


BUG = """
import sys
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from rlhf_desktop import app
from rlhf_desktop.core.paths import Workspace
from pathlib import Path
qt = QApplication([])
desktop = app.Desktop(qt, Workspace(Path(sys.argv[1])).ensure())
def fail():
    raise KeyError(sys.argv[2])
QTimer.singleShot(0, fail)
QTimer.singleShot(50, qt.quit)
qt.exec()
desktop.put_away()
"""


def test_a_bugs_report_holds_no_words_of_the_users(tmp_path):
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "RLHF_DESKTOP_STATE": str(tmp_path / "state")}
    workspace = tmp_path / "workspace"
    command = [sys.executable, "-c", BUG, str(workspace), "canary: what I wrote"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    (report,) = (workspace / "reports").iterdir()
    assert "KeyError" in report.read_text()
    assert "in fail" in report.read_text()
    assert "canary" not in report.read_text() + done.stderr
