"""A report in a real browser, offline: it is drawn, asks nobody for anything, and its numbers are the database's and the run's."""

import json
import shutil
import subprocess
import sys
import threading
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from rlhf_desktop.core.files import append_jsonl, sha256_file
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.protocol import Completion, Sampling
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.operations.blind import begin_evaluation, judge_pair, next_pair
from rlhf_desktop.operations.blind_results import blind_report
from rlhf_desktop.operations.feedback import import_feedback
from rlhf_desktop.operations.plain_words import measure
from rlhf_desktop.operations.report import evaluation_report, run_report
from rlhf_desktop.operations.report_pages import write_report
from rlhf_desktop.operations.training import run_result, start_run
from rlhf_desktop.store.database import Store

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-headless-shell", "google-chrome"))), None)
BASE = ModelRef(name="tiny", path="/models/tiny", hash="base-hash")

pytestmark = [
    pytest.mark.timeout(600),  # a browser needs seconds, and a minute where the machine is busy
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (Debian: chromium)"),
]


class Quiet(Queue):
    """Nobody works on its runs."""

    def ensure_supervisor(self):
        pass


class Canary(BaseHTTPRequestHandler):
    """Notes what it is asked, and has nothing."""

    def do_GET(self):
        self.server.heard.append(self.path)
        self.send_error(404)

    def log_message(self, *_):
        pass


@pytest.fixture
def canary():
    """A server that must hear nothing."""
    with HTTPServer(("127.0.0.1", 0), Canary) as server:
        server.heard = []
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        yield server
        server.shutdown()
        serving.join()


@pytest.fixture
def hostile(canary):
    """What a model may have written: everything that makes a browser load something."""
    at = f"http://127.0.0.1:{canary.server_port}"
    return (
        f"<img src={at}/a.png> <script src='{at}/b.js'></script> <link rel=stylesheet href={at}/c.css> "
        f"<iframe src={at}/d></iframe> <svg><image href='{at}/e.png'/></svg> "
        f"<meta http-equiv=refresh content='0; url={at}/f'> <style>@import '{at}/g.css';</style>"
    )


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("RLHF_DESKTOP_STATE", str(tmp_path / "state"))
    return Workspace(tmp_path / "workspace").ensure()


@pytest.fixture
def store(workspace):
    with Store.open(workspace.database) as opened:
        yield opened


@pytest.fixture
def project(store):
    return store.projects.create("Support")


@pytest.fixture
def run(store, workspace, project, hostile, tmp_path):
    """A run that has ended, with curves, samples and a result."""
    pair = [{"text": "good", "rank": 1}, {"text": "bad", "rank": 2}]
    rows = [{"prompt": [{"role": "user", "content": f"Question {n}"}], "completions": pair} for n in range(60)]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_feedback(store, project, tmp_path / "r.jsonl")
    made = start_run(store, Quiet(workspace), project, "dpo", base=BASE, title="Kinder")
    events = [
        {"type": "metrics", "step": n, "values": {"loss": 0.7 / (1 + n / 40), "rewards/accuracies": 0.5 + n / 400}}
        for n in range(120)
    ]
    events += [{"type": "sample", "step": 120, "prompt": "My parcel is late.", "text": hostile, "before": "Old answer"}]
    metrics = {"wall_s": 61.25, "peak_rss_bytes": 3 * 2**30, "eval/loss": 0.512345, "examples": 51}
    events += [{"type": "finished", "outcome": "done", "metrics": metrics}]
    for seq, event in enumerate(events):
        append_jsonl(made.events, {"v": 1, "seq": seq, "time": 1.0 + seq, **event})
    made.adapter.mkdir()
    (made.adapter / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (made.adapter / "adapter_model.safetensors").write_text(made.id)
    made.write_status(made.status().model_copy(update={"state": "done"}))
    return made


@pytest.fixture
def evaluation(store, project, run, hostile):
    """30 pairs: the new model wins 19, 5 are ties."""
    prompts = [[{"role": "user", "content": f"Held out {n}"}] for n in range(30)]
    store.prompts.create_set(project.id, "printers", prompts[:18], "heldout")
    store.prompts.create_set(project.id, "kettles", prompts[18:], "heldout")
    said = [Completion(id="r", prompt=0, completion=0, text=f"{who} {hostile}", tokens=3, finish="end") for who in ("old", "new")]
    weights = sha256_file(run.adapter / "adapter_model.safetensors")
    new = AdapterRef(name="Kinder", path=str(run.adapter), hash=weights, base_hash=BASE.hash)
    made = begin_evaluation(
        store, project, base=BASE, old=None, new=new, sampling=Sampling(), seed=5, answered=[(p, *said) for p in prompts]
    )
    while (pair := next_pair(store, made.id, "Dr. Grey")) is not None:
        better = "left" if pair.left.startswith("new") == (pair.position < 19) else "right"
        judge_pair(store, pair, "tie" if 19 <= pair.position < 24 else better, who="Dr. Grey", seconds=3)
    return made


class Drawn(HTMLParser):
    """The page as the browser holds it: its words, the cells of its tables, and its parts."""

    def __init__(self, dom: str) -> None:
        super().__init__()
        self.words, self.cells, self.tags = "", [], []
        self.feed(dom)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.words += data
        if self.tags and self.tags[-1] == "td":
            self.cells.append(data)


def browse(page: Path, folder: Path) -> Drawn:
    """Open a page in a browser of its own; a picture of it and what it asked the network for lie in `folder`."""
    dom = _chromium(page, folder, "--dump-dom")
    _chromium(page, folder, f"--screenshot={folder / 'page.png'}", "--window-size=1000,2400", "--hide-scrollbars")
    return Drawn(dom)


def _chromium(page: Path, folder: Path, *wanted: str) -> str:
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
    quiet += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]  # the browser has no network either
    kept = [f"--user-data-dir={folder / 'profile'}", f"--log-net-log={folder / 'net.json'}", "--net-log-capture-mode=Everything"]
    command = [CHROMIUM, "--headless", *quiet, *kept, *wanted, page.as_uri()]
    said = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True).stdout
    assert asked(folder / "net.json", page) == [], "the page asked for something"
    return said


def asked(log: Path, page: Path) -> list[str]:
    """The addresses the page asked for, itself apart. The log calls a page in a file "null", and the browser "not an origin"."""
    events = json.loads(log.read_text())["events"]
    causes = [(e["params"]["url"], e["params"].get("initiator")) for e in events if e.get("params", {}).get("url")]
    return [url for url, cause in causes if cause not in (None, "not an origin") and url != page.as_uri()]


def test_the_canary_would_hear_a_page_that_loads_something(canary, tmp_path):
    page = tmp_path / "leaky.html"
    page.write_text(f"<img src=http://127.0.0.1:{canary.server_port}/a.png>")
    with pytest.raises(AssertionError, match="the page asked for something"):
        browse(page, tmp_path)
    assert canary.heard == ["/a.png"]


def test_an_evaluations_report_is_drawn_offline_with_the_databases_numbers(store, workspace, evaluation, canary, tmp_path):
    page = browse(write_report(evaluation_report(store, workspace, evaluation.id), tmp_path).html, tmp_path)
    assert canary.heard == []
    found = blind_report(store, evaluation.id)
    groups = {"overall": found.win, **found.by_tag}
    assert set(groups) == {"overall", "printers", "kettles"}
    for name, win in groups.items():
        verdict = f"{win.rate:.1%} ({win.low:.1%} to {win.high:.1%}), {win.n} prompts, {win.ties:.1%} ties, {win.decision}"
        assert f"{name}: {verdict}" in page.words
    assert page.tags.count("svg") >= 2
    assert not {"script", "img", "iframe", "link", "image"} & set(page.tags)
    assert "Grey" not in page.words
    assert looks_drawn(tmp_path / "page.png")


def test_a_runs_report_is_drawn_offline_with_the_runs_numbers(store, workspace, run, evaluation, canary, tmp_path):
    page = browse(write_report(run_report(store, workspace, run), tmp_path).html, tmp_path)
    assert canary.heard == []
    for name, value in run_result(run).metrics.items():
        shown = page.cells[page.cells.index(measure(name).label) + 1]
        assert float(shown.split()[0].replace(",", "")) == pytest.approx(value, rel=1e-5)
    assert run.config().data_sha256 in page.cells
    assert page.tags.count("svg") == 4
    assert looks_drawn(tmp_path / "page.png")


def looks_drawn(picture: Path) -> bool:
    """Whether a picture shows more than an empty page: it is not nearly all of one colour row by row."""
    script = "import sys\nfrom PySide6.QtGui import QImage\nimage = QImage(sys.argv[1])\nw, h = image.width(), image.height()\n"
    script += "rows = sum(len({image.pixel(x, y) for x in range(0, w, 5)}) > 3 for y in range(0, h, 4))\nprint(rows * 4 / h)"
    done = subprocess.run([sys.executable, "-c", script, str(picture)], capture_output=True, text=True, check=True)
    return float(done.stdout) > 0.2
