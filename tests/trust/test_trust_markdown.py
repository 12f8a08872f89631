"""Texts nobody vouches for open nothing wherever they are shown: in a turn of Chat, on paper, in the guide, in a report."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rlhf_desktop.operations.report_pages import Answers, Paragraph, Report, Section, Table, write_report
from tests.trust.rows import OPENED

ROOT = Path(__file__).parents[2]
FORMS = (
    "![x]({path})",
    "![x][r]\n\n[r]: {path} 'title'",
    '<img src="{path}">',
    "![x](file://{path})",
    "![x](<{path}.fifo>)",
    "![x](http://127.0.0.1:9/canary.png)",
    "![x](//canary.example.com/x.png)",
    "![x](data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'><image href='file://{path}'/></svg>)",
    "![x]({path}.svg)",
    '<div style="background: url(file://{path})">x</div>\n\n<style>@import url("http://127.0.0.1:9/canary.css");</style>',
    "[x]({path}) [y](file://{path} 'z') <http://127.0.0.1:9/canary> https://canary.example.com/",
    '<link rel="stylesheet" href="{path}">\n<object data="{path}"></object>\n<iframe src="{path}"></iframe>',
    "![x](qrc:/canary) ![x](pictures/../../canary-picture.png) ![x](pictures/{path})",
    "| a |\n|---|\n| ![x]({path}) |\n\n- [ ] ![x](FILE:{path})\n\n> # ![x]({path})",
)
SHOW = """
import sys
from PySide6.QtCore import QMargins, QUrl
from PySide6.QtGui import QPdfWriter, QPageSize
from PySide6.QtWidgets import QApplication
from rlhf_desktop.ui.chat.turn_view import TurnView
from rlhf_desktop.ui.chat.turns import Turn
from rlhf_desktop.ui.help.view import GuideView
from rlhf_desktop.ui.widgets.markdown import MarkdownView, inert_document
app = QApplication([])
paper, *forms = sys.argv[1:]
open("/dev/null").close()  # from here on it is only shown
kept = []
for form in forms:
    guide = GuideView()
    guide.show_page("page", form)
    turns = [TurnView(Turn("1", role, form, "tiny", 0, 1, "", True, False, form)) for role in ("user", "assistant")]
    for view in (MarkdownView(form), guide, *turns):
        view.resize(500, 400)
        view.show()
        app.processEvents()
        view.grab()
        kept.append(view)
    writer = QPdfWriter(paper)
    inert_document(form).print_(writer)
    del writer
open("/dev/zero").close()
"""


@pytest.mark.trust("markdown-opens", 1)
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_no_form_opens_a_file_or_an_address_wherever_it_is_shown(tmp_path, trust):
    picture = tmp_path / "canary-picture.png"
    picture.write_bytes(bytes.fromhex("89504e470d0a1a0a"))
    os.mkfifo(f"{picture}.fifo")
    Path(f"{picture}.svg").write_text("<svg/>")
    log, command = tmp_path / "trace", ["strace", "-f", "-e", "trace=file,network"]
    forms = [form.format(path=picture) for form in FORMS]
    done = subprocess.run(
        [*command, "-o", str(log), sys.executable, "-c", SHOW, str(tmp_path / "paper.pdf"), *forms],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"}, cwd=ROOT, timeout=240, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    calls = [line for line in log.read_text("utf-8", "replace").splitlines() if "exec" not in line]
    assert any("/dev/null" in line for line in calls)
    assert any("/dev/zero" in line for line in calls)
    trust.tried = len(FORMS)
    for line in (line for line in calls if re.search(r"canary|AF_INET|AF_NETLINK", line)):
        trust.found(OPENED, line)


class Addresses(HTMLParser):
    """Everything in a page that a browser would fetch or follow."""

    NAMES = ("src", "href", "data", "action", "poster", "srcset", "background", "style", "xlink:href", "content")

    def __init__(self):
        super().__init__()
        self.found, self.tags, self.styles, self._in_style = [], set(), "", False

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self._in_style = tag == "style"
        self.found += [(tag, name, value) for name, value in attrs if name in self.NAMES]

    def handle_data(self, data):
        if self._in_style:
            self.styles += data

    def handle_endtag(self, tag):
        self._in_style = False


def test_a_report_with_such_texts_refers_to_nothing(tmp_path):
    forms = [form.format(path="/tmp/canary") for form in FORMS] + ["</style><script>alert('canary')</script>"]
    blocks = [
        block for form in forms for block in (Paragraph(form), Table((form,), ((form,),)), Answers(form, ((form, form),), form))
    ]
    written = write_report(Report("report", forms[2], forms[3], (Section(forms[2], tuple(blocks)),)), tmp_path)
    page = Addresses()
    page.feed(written.html.read_text("utf-8"))
    assert not page.tags & {"img", "iframe", "object", "embed", "link", "script", "base", "form", "video", "audio"}
    assert [each for each in page.found if re.search("canary|127.0.0.1|file:|http", each[2] or "")] == []
    assert not re.search(r"canary|@import|https?:|file:", page.styles)
    text = written.markdown.read_text("utf-8")
    assert "canary" in text
    assert not re.search(r"(?<!\\)!\[|(?<!\\)<(img|style|script|div|iframe|link)", text)
