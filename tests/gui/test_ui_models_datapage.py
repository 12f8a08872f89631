"""Publishing comparisons: what is ticked, replaced and shown is what goes, and nothing else."""

import json

import pytest
from PySide6.QtCore import Qt

from rlhf_desktop.core.offline import NetworkRule
from rlhf_desktop.hub import tokens
from rlhf_desktop.operations.feedback import import_feedback
from rlhf_desktop.ui.models.datapage import DataPage
from rlhf_desktop.ui.models.work import HubWork
from tests.hub_server import WRITER, HubServer

PEOPLE = ("Amina Haddad", "Ben Okoro")


@pytest.fixture
def server(monkeypatch):
    import huggingface_hub.utils._http as http

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(tokens.TokenKeeper, "get", lambda self: self._session)
    monkeypatch.setattr(tokens.TokenKeeper, "keep", lambda self, token: self.use(token) or "session")
    with HubServer() as made:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        yield made
    http.close_session()


def ranked(prompt, better, worse):
    completions = [{"text": better, "rank": 1}, {"text": worse, "rank": 2}]
    return {"prompt": [{"role": "user", "content": prompt}], "completions": completions}


@pytest.fixture
def judged(context, tmp_path):
    rows = [ranked(f"The lamp number {n} flickers", "I am sorry.", f"No {n}.") for n in range(12)]
    rows += [ranked(f"Write to amina@ward.example, case {n}", "I will write.", "No.") for n in range(3)]
    rows.append(ranked("Call me on +44 20 7946 0958", "We will call.", "No."))
    file = tmp_path / "r.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_feedback(context.store, context.session.project, file, annotator=PEOPLE[0])
    return len(rows)


@pytest.fixture
def page(qtbot, context, server):
    made = DataPage(context, HubWork(context.workspace, context.library, context.keys))
    qtbot.addWidget(made)
    made.resize(1000, 800)
    made.show()
    yield made
    for work in (made.looking, made.planning, made.sending):
        work.wait()


@pytest.fixture
def open_page(qtbot, page, judged):
    page.begin()
    qtbot.waitUntil(lambda: page.choices is not None)
    return page


def preview(qtbot, page):
    page.form.repo.setText("amina/pairs")
    page.preview.click()
    qtbot.waitUntil(lambda: page.plan is not None)
    return page.plan


def published(repo):
    return [json.loads(line) for path, raw in repo.files.items() if path.endswith(".jsonl") for line in raw.decode().splitlines()]


def test_without_comparisons_it_says_so(qtbot, page):
    page.begin()
    qtbot.waitUntil(page.notice.isVisible)
    assert "no comparisons" in page.notice.words.text()
    assert not page.send.isVisible()


def test_everything_found_is_replaced_until_one_says_otherwise(qtbot, open_page, judged, server):
    page = open_page
    assert f"{judged} comparisons would go" in page.count.text()
    assert "Everything found is replaced" in page.staying.text()
    plan = preview(qtbot, page)
    sent = b"".join(file.content for file in plan.files).decode()
    assert "ward.example" not in sent
    assert "7946" not in sent
    assert "[e-mail]" in sent
    assert "annotator" not in sent.partition("## Columns")[2]
    assert server.repos == {}
    assert "only your account" in page.files.where.text()


def test_what_stays_must_have_been_looked_at(qtbot, open_page):
    page = open_page
    (row,) = [n for n, group in enumerate(page.finds.model().groups) if group.kind == "e-mail"]
    assert page.finds.model().cell(row, 3) == "3"
    page.finds.setFocus()
    page.finds.selectRow(row)
    qtbot.keyClick(page.finds, Qt.Key.Key_Space)
    assert "3 places would go out unchanged" in page.staying.text()
    assert not page.preview.isEnabled()
    page.sure.click()
    assert page.preview.isEnabled()
    assert b"amina@ward.example" in b"".join(file.content for file in preview(qtbot, page).files)
    qtbot.keyClick(page.finds, Qt.Key.Key_Space)  # on second thoughts: what was shown is no longer what would go
    assert page.plan is None
    assert not page.send.isVisible()


def test_rows_and_columns_by_keyboard(qtbot, open_page, judged):
    page = open_page
    page.shown._group.button(1).click()
    assert page.rows.model().rowCount() == 4
    page.rows.setFocus()
    qtbot.keyClick(page.rows, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(page.rows, Qt.Key.Key_Space)
    assert f"{judged - 4} comparisons would go, 4 stay here" in page.count.text()
    assert page.finds.model().rowCount() == 0
    page.columns["annotator"].click()
    assert not page.columns["prompt"].isEnabled()
    rows = [json.loads(line) for file in preview(qtbot, page).files[1:] for line in file.content.decode().splitlines()]
    assert len(rows) == judged - 4
    assert {row["annotator"] for row in rows} == {"annotator 1"}
    assert not any(name in page.files.content.toPlainText() for name in PEOPLE)
    page.untick_all.click()
    page.shown._group.button(0).click()
    page.untick_all.click()
    assert not page.preview.isEnabled()


def test_the_chosen_row_is_shown_as_it_would_go(qtbot, open_page):
    page = open_page
    page.shown._group.button(1).click()
    page.rows.selectRow(0)
    assert "[e-mail]" in page.detail.toPlainText()
    assert "ward.example" not in page.detail.toPlainText()


def test_just_what_was_shown_is_sent(qtbot, open_page, judged, server):
    page = open_page
    page.form.licence.setCurrentText("cc-by-4.0")
    page.form.languages.setText("en, de")
    plan = preview(qtbot, page)
    page.send.click()
    qtbot.waitUntil(lambda: "needs your Hub token" in page.notice.words.text())
    page.form.token.setText(WRITER)
    page.send.click()
    qtbot.waitUntil(lambda: "Published" in page.notice.words.text())
    repo = server.repos["dataset", "amina/pairs"]
    assert repo.private
    assert {path: raw for path, raw in repo.files.items() if path != ".gitattributes"} == {f.path: f.content for f in plan.files}
    assert len(published(repo)) == judged
    assert b'license: "cc-by-4.0"' in repo.files["README.md"]
    assert page.form.token.text() == ""
    assert not page.form.token.isVisible()


def test_a_trouble_leaves_everything_as_it_was_and_it_goes_on(qtbot, open_page, server, context):
    page = open_page
    context.keys.of(server.url).use(WRITER)
    preview(qtbot, page)
    server.fail("/commit/", 403, times=9)
    page.send.click()
    qtbot.waitUntil(lambda: "may not do this" in page.notice.words.text())
    assert page.send.isEnabled()
    server.faults.clear()
    page.send.click()
    qtbot.waitUntil(lambda: "Published" in page.notice.words.text())


def test_looking_through_can_be_stopped(qtbot, page, judged, monkeypatch):
    import threading

    from rlhf_desktop.ui.models import datapage

    seen, go_on = threading.Event(), threading.Event()

    def gather(_path, _project, tell):
        seen.set()
        go_on.wait(60)
        tell(datapage.Reached(0, 0, "x"))

    monkeypatch.setattr(datapage, "gather", gather)
    page.begin()
    assert seen.wait(60)
    with qtbot.waitSignal(page.left):
        page.stop.click()
        go_on.set()
    assert page.choices is None


def test_offline_looks_but_does_not_send(qtbot, open_page, context):
    context.session.set_network(NetworkRule(True, True, "Patient data."))
    preview(qtbot, open_page)
    assert not open_page.send.isEnabled()
    assert "Patient data." in open_page.offline.words.text()
    context.session.set_network(NetworkRule(False))
    assert open_page.send.isEnabled()
