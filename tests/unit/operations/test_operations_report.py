"""Reports: their numbers are the database's, they load nothing, name nobody unasked, and what a model wrote stays text."""

import re
from html import unescape
from html.parser import HTMLParser

import pytest
from operations_helpers import BASE, QuietQueue, adapter_of, finish, ranking, user, write_lines

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.core.files import append_jsonl
from rlhf_desktop.core.protocol import Completion, Sampling
from rlhf_desktop.core.runs import GgufFile
from rlhf_desktop.feedback.judgements import Rating, Ratings
from rlhf_desktop.jobs.runnotes import annotate_run
from rlhf_desktop.operations.blind import begin_evaluation, judge_pair, next_pair
from rlhf_desktop.operations.blind_results import blind_report
from rlhf_desktop.operations.feedback import import_feedback
from rlhf_desktop.operations.plain_words import measure, setting_label
from rlhf_desktop.operations.report import evaluation_report, run_report
from rlhf_desktop.operations.report_pages import as_html, as_markdown, write_report
from rlhf_desktop.operations.training import run_result, start_run

HOSTILE = "<script>alert(1)</script> <img src=http://evil.example/x.png> [link](http://evil.example) | `code` **bold**"
PROMPTS = [user(f"Held out {n}") for n in range(24)]


def completion(text):
    return Completion(id="r", prompt=0, completion=0, text=text, tokens=3, finish="end")


@pytest.fixture
def run(store, project, workspace, tmp_path):
    """A finished run with events, learned from 40 rankings."""
    import_feedback(
        store,
        project,
        write_lines(tmp_path / "r.jsonl", *(ranking(f"Q {n}", "good", "bad") for n in range(40))),
        annotator="Dr. Grey",
    )
    made = start_run(store, QuietQueue(workspace), project, "dpo", base=BASE, title="Kinder")
    events = [
        *(
            {"type": "metrics", "step": n, "values": {"loss": 0.7 - 0.01 * n, "rewards/accuracies": 0.5 + 0.01 * n}}
            for n in range(30)
        ),
        {"type": "sample", "step": 10, "prompt": "What now?", "text": "too early", "before": "Old answer"},
        {"type": "sample", "step": 30, "prompt": "What now?", "text": HOSTILE, "before": "Old answer"},
        {"type": "warning", "code": "watchdog", "message": "The answers shrank."},
    ]
    for seq, event in enumerate(events):
        append_jsonl(made.events, {"v": 1, "seq": seq, "time": 1.0, **event})
    return finish(made, wall_s=61.25, peak_rss_bytes=3 * 2**30, **{"eval/loss": 0.512345})


@pytest.fixture
def evaluation(store, project, run):
    """24 pairs: 16 for the new model, 4 ties, 4 against; marks for tone; two people."""
    store.prompts.create_set(project.id, "printers", PROMPTS[:14], "heldout")
    store.prompts.create_set(project.id, "kettles", PROMPTS[14:], "heldout")
    answered = [(p, completion("old " + HOSTILE), completion("new and longer " + HOSTILE)) for p in PROMPTS]
    made = begin_evaluation(
        store, project, base=BASE, old=None, new=adapter_of(run), sampling=Sampling(), seed=5, answered=answered
    )
    while (pair := next_pair(store, made.id, "Dr. Grey")) is not None:
        new_on_left = pair.left.startswith("new")
        better = "left" if new_on_left == (pair.position < 20) else "right"
        tone = Ratings((Rating("tone", 5, (4, 3) if new_on_left else (3, 4)),))
        judge_pair(
            store, pair, "tie" if 16 <= pair.position < 20 else better, who="Dr. Grey", seconds=3, also=[tone], critique="clearer"
        )
    judge_pair(store, next_pair(store, made.id, "Ms. Teal"), "both_bad", who="Ms. Teal", seconds=5)
    return made


class Page(HTMLParser):
    """What a page would load or run, and its table cells."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.cells, self._inside = set(), [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [
            value for name, value in attrs if name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href")
        ]
        self._inside = tag == "td"

    def handle_data(self, data):
        if self._inside:
            self.cells.append(data)

    def handle_endtag(self, tag):
        self._inside = False


def percent(value):
    return f"{value:.1%}"


def test_the_numbers_of_an_evaluation_are_the_databases(store, workspace, evaluation):
    found, report = blind_report(store, evaluation.id), evaluation_report(store, workspace, evaluation.id)
    html, markdown = unescape(as_html(report)), as_markdown(report)
    count = store.connection.rows(
        "SELECT count(*) AS n FROM judgements WHERE source = ? AND kind != 'withdrawn'", (f"evaluation:{evaluation.id}",)
    )[0]["n"]
    assert f"{count} judgements on 24 of 24 prompts by 2 judges" in html
    groups = {"overall": found.win, **found.by_tag, **found.by_attribute}
    assert set(groups) == {"overall", "printers", "kettles", "tone"}
    for name, win in groups.items():
        cells = [name, percent(win.rate), percent(win.low), percent(win.high), str(win.n), percent(win.ties), win.decision]
        assert f"{name}: {cells[1]} ({cells[2]} to {cells[3]}), {win.n} prompts, {cells[5]} ties, {win.decision}" in html
        assert "| " + " | ".join(cells) + " |" in markdown
    assert f"the rate would be {percent(found.length.rate)}" in html
    assert "In 1 of them neither answer would do" in html


def test_the_numbers_of_a_run_are_those_of_its_folder(store, workspace, run):
    html = as_html(run_report(store, workspace, run))
    cells = Page(html).cells
    for name, value in run_result(run).metrics.items():
        shown = cells[cells.index(measure(name).label) + 1]
        scale = 100 if measure(name).unit == "%" else 1
        assert float(shown.split()[0].strip("%").replace(",", "")) / scale == pytest.approx(value, rel=1e-5)
    for name, value in run.config().settings.items():
        place = cells.index(setting_label(name))
        assert cells[place + 1].split()[0] == str(value)
        assert cells[place + 3] == name
    assert run.config().data_sha256 in cells
    assert "The answers shrank." in html
    assert "40 judgements" in html


def test_a_runs_report_says_its_numbers_in_plain_words(store, workspace, run):
    for said in (as_html(run_report(store, workspace, run)), as_markdown(run_report(store, workspace, run))):
        assert "Memory at most" in said
        assert "3,221,225,472 bytes (3.22 GB)" in said
        assert "61.25 s (1 min)" in said
        assert not re.search(r"peak.?_rss|wall.?_s\b|eval/|rewards/|objective/", said)


def test_a_page_loads_nothing_and_runs_nothing(store, workspace, run, evaluation):
    for report in (run_report(store, workspace, run), evaluation_report(store, workspace, evaluation.id)):
        text = as_html(report)
        page = Page(text)
        assert page.addresses == []
        assert page.tags.isdisjoint({"script", "img", "link", "iframe", "object", "embed", "video", "audio", "form", "base", "a"})
        assert "default-src 'none'" in text
        assert "url(" not in text
        assert "@import" not in text


def test_what_a_model_wrote_stays_text_in_markdown(store, workspace, run, evaluation):
    text = as_markdown(evaluation_report(store, workspace, evaluation.id))
    assert "<script" not in re.sub(r"\\<", "", text)
    assert not re.search(r"(?<!\\)\]\(", text)
    assert not re.search(r"(?<!\\)`", text)


def test_nobody_is_named_unless_asked(store, workspace, run, evaluation):
    for make in (
        lambda **more: run_report(store, workspace, run, **more),
        lambda **m: evaluation_report(store, workspace, evaluation.id, **m),
    ):
        silent, spoken = as_html(make()), as_html(make(names=True))
        assert "Grey" not in silent
        assert "Teal" not in silent
        assert "Dr. Grey, Ms. Teal" in spoken


def test_the_newest_sample_is_beside_the_answer_before(store, workspace, run):
    html = as_html(run_report(store, workspace, run))
    assert "Old answer" in html
    assert "after 30 updates" in html
    assert "too early" not in html


def test_a_run_report_has_charts_its_lineage_and_its_evaluations(store, workspace, run, evaluation):
    annotate_run(run, title="Kinder still", notes="The second try.")
    report = run_report(store, workspace, run)
    titles = [section.title for section in report.sections]
    assert titles[:4] == ["In short", "What came out", "How it went", "Warnings"]
    assert "Blind evaluation: Kinder against tiny" in titles
    assert "Where it comes from" in titles
    html = as_html(report)
    assert html.count("<svg") == 4  # loss, accuracy; the verdict's interval and its growth
    assert "The second try." in html
    assert "The run is done.</p>" in html  # and not once more in other words
    assert report.title == "Kinder still"


def test_a_queued_run_has_a_report_too(store, workspace, project, run):
    queued = start_run(store, QuietQueue(workspace), project, "dpo", base=BASE)
    assert "The run is queued." in as_html(run_report(store, workspace, queued))


def test_nothing_judged_yet_is_said(store, workspace, project, run):
    store.prompts.create_set(project.id, "held out", PROMPTS, "heldout")
    made = begin_evaluation(
        store, project, base=BASE, old=None, new=adapter_of(run), sampling=Sampling(), seed=1,
        answered=[(PROMPTS[0], completion("a"), completion("b"))],
    )  # fmt: skip
    assert "Nothing is judged yet" in as_markdown(evaluation_report(store, workspace, made.id))


def test_an_unknown_evaluation_is_said(store, workspace):
    with pytest.raises(NotFound, match="no such evaluation"):
        evaluation_report(store, workspace, "nothing")


def test_both_files_are_written_whole_or_not_at_all(store, workspace, run, tmp_path):
    report = run_report(store, workspace, run)
    files = write_report(report, tmp_path / "out")
    assert files.html.read_text("utf-8") == as_html(report)
    assert files.markdown.read_text("utf-8") == as_markdown(report)
    (tmp_path / "file").write_text("here")
    with pytest.raises(BadInput, match="could not be written"):
        write_report(report, tmp_path / "file")


def test_answers_from_quantised_weights_are_said_to_be(store, project, workspace, run, evaluation):
    assert "quantised" not in as_markdown(evaluation_report(store, workspace, evaluation.id))
    fast = BASE.model_copy(update={"gguf": GgufFile(path="m.gguf", sha256="", bytes=1, numbers="Q8_0")})
    answered = [(p, completion("old"), completion("new")) for p in PROMPTS[:4]]
    made = begin_evaluation(
        store, project, base=fast, old=None, new=adapter_of(run), sampling=Sampling(), seed=5, answered=answered
    )
    while (pair := next_pair(store, made.id, "me")) is not None:
        judge_pair(store, pair, "left", who="me", seconds=3)
    assert "from quantised weights" in as_markdown(evaluation_report(store, workspace, made.id))
