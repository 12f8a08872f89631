"""An answer's Markdown opens nothing: no file, no pipe, no address, whatever form an image or a link takes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QImage
from PySide6.QtWidgets import QMessageBox

from rlhf_desktop.core import offline
from rlhf_desktop.ui.widgets.markdown import MarkdownView

FORMS = (
    "![x]({path})", "![x](file://{path})", "![x](FILE://{path})", "![x](file:{path})", "![x](<{path}>)", '![x]({path} "title")',
    "![x][r]\n\n[r]: {path}", "![r]\n\n[r]: file://{path}", '<img src="{path}">', "[![x]({path})](https://example.org)",
    "| a | b |\n|---|---|\n| ![x]({path}) | 1 |", "- ![x](http://127.0.0.1:9/{path})",
)  # fmt: skip

SHOW = """
import sys
from PySide6.QtWidgets import QApplication
from rlhf_desktop.ui.widgets.markdown import MarkdownView
app = QApplication([])
open("/dev/null").close()
for form in sys.argv[1:]:
    view = MarkdownView(form)
    view.resize(400, 300)
    view.show()
    app.processEvents()
    view.grab()
"""


def shown(forms, *before):
    """The end of a process that draws these texts; one that hangs is ended."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    command = [*before, sys.executable, "-c", SHOW, *forms]
    return subprocess.run(command, env=environment, cwd=Path(__file__).parents[2], timeout=240, capture_output=True, text=True)


def test_a_pipe_called_an_image_does_not_freeze_the_window(tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    done = shown([form.format(path=pipe) for form in FORMS])
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_no_form_of_an_image_opens_a_file_or_an_address(tmp_path):
    picture = tmp_path / "canary-picture.png"
    assert QImage(40, 40, QImage.Format.Format_RGB32).save(str(picture))
    log = tmp_path / "trace"
    done = shown([form.format(path=picture) for form in FORMS], "strace", "-f", "-e", "trace=file,network", "-o", str(log))
    assert done.returncode == 0, done.stderr
    calls = [line for line in log.read_text("utf-8", "replace").splitlines() if "exec" not in line]
    assert any("/dev/null" in line for line in calls)
    assert [line for line in calls if "canary" in line or "AF_INET" in line] == []


@pytest.mark.parametrize("form", FORMS[:8])
def test_an_image_is_written_out(qtbot, tmp_path, form):
    view = MarkdownView(f"Before {form.format(path=tmp_path / 'a.png')}")
    qtbot.addWidget(view)
    text = view.toPlainText()
    assert text.startswith("Before")
    assert "[image:" in text
    assert "a.png]" in text
    assert "\ufffc" not in text


@pytest.mark.parametrize(("is_offline", "buttons"), [(True, ["Cancel"]), (False, ["Open in browser", "Cancel"])])
def test_a_link_shows_its_address_and_is_not_opened_offline(qtbot, monkeypatch, is_offline, buttons):
    opened = []
    monkeypatch.setattr(offline, "_on", is_offline)
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    view = MarkdownView("[help](https://example.org/a?b=c)")
    qtbot.addWidget(view)
    view.anchorClicked.emit(QUrl("https://example.org/a?b=c"))
    (question,) = view.findChildren(QMessageBox)
    assert sorted(b.text().replace("&", "") for b in question.buttons()) == sorted(buttons)
    assert question.informativeText() == "https://example.org/a?b=c"
    assert ("Offline is on" in question.text()) is is_offline
    next(b for b in question.buttons() if b.text().replace("&", "") == buttons[0]).click()
    assert len(opened) == (0 if is_offline else 1)


def test_a_table_too_large_to_lay_out_is_shown_as_it_was_written(qtbot):
    row = "| a | b |\n"
    small, large = (MarkdownView(f"{row}|---|---|\n{row * rows}") for rows in (150, 400))
    for view in (small, large):
        qtbot.addWidget(view)
    tables = [[type(part).__name__ for part in view.document().rootFrame().childFrames()] for view in (small, large)]
    assert tables == [["QTextTable"], []]
    assert large.toPlainText().count("| a | b |") == 401
