"""One summary for every export: what, how much, where, what was left out; the file manager shows it, Python waits folded."""

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication

from rlhf_desktop.feedback.judgements import Judgement, Ranking, Ratings, Skip, Thumbs
from rlhf_desktop.feedback.protocol import Attribute
from rlhf_desktop.operations.exporting import Exported
from rlhf_desktop.operations.written import model_written, report_written
from rlhf_desktop.ui.feedback.files_page import FilesPage
from rlhf_desktop.ui.reports import show_report
from rlhf_desktop.ui.widgets.written import WrittenCard, show_in_folder


@pytest.fixture
def opened(monkeypatch):
    said = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: said.append(url) or True)
    return said


@pytest.fixture
def files(qtbot, context):
    page = FilesPage(context)
    qtbot.addWidget(page)
    page.show()
    return page


def judge(context, *verdicts):
    """A pair of answers each."""
    for n, verdict in enumerate(verdicts):
        _, leaf = context.store.conversations.start(context.session.project.id, [{"role": "user", "content": f"q {n}"}])
        nodes = context.store.conversations.add_answers(leaf.id, ["a", "b"])
        context.store.judgements.add(Judgement(context.session.project.id, "Ada", tuple(node.id for node in nodes), verdict))


def shown(card):
    """The names and values of the facts."""
    form = card._facts.itemAt(0).layout()
    return {form.itemAt(n, form.ItemRole.LabelRole).widget().text(): form.itemAt(n, form.ItemRole.FieldRole).widget().text()
            for n in range(form.rowCount())}  # fmt: skip


def test_an_export_says_what_it_holds_and_what_it_left_out(qtbot, context, files, tmp_path):
    scale = Attribute(name="kind")
    judge(context, Ranking((1, 2)), Thumbs(True, 0), Ratings((scale.rating((3, None)),)), Skip(""))
    card = files.exports
    card.form.setCurrentIndex(card.form.findData("preference"))
    card.export_file(tmp_path / "pairs.jsonl")
    qtbot.waitUntil(card.written.isVisible)
    assert card.written.title.text() == "1 record from 1 judgement written."
    facts = shown(card.written)
    assert facts["Kind of file"] == "JSON lines"
    assert facts["Where"] == str(tmp_path / "pairs.jsonl")
    said = "2 judgements of which this format has no place for what they say: thumbs (1), ratings (1)."
    assert card.written.left_out.text() == f"Left out: {said}"
    assert "skip" not in card.written.left_out.text()
    assert not card.written.code.isVisible()
    qtbot.mouseClick(card.written.python, Qt.MouseButton.LeftButton)
    assert "load_dataset" in card.written.code.text()
    assert card.written.code.isVisible()
    assert not card.notice.isVisible()


def test_the_python_lines_are_python(tmp_path, context, files, qtbot):
    judge(context, Ranking((1, 2)))
    files.exports.container.setCurrentIndex(files.exports.container.findData(".csv"))
    files.exports.export_file(tmp_path / "it's.csv")
    qtbot.waitUntil(files.exports.written.isVisible)
    assert compile(files.exports.written.code.text(), "shown", "exec")


def test_a_bundle_is_summed_up_alike(qtbot, context, files, tmp_path):
    judge(context, Ranking((1, 2)), Ranking((2, 1)))
    files.bundles.write(tmp_path / "team.rlhf.zip")
    qtbot.waitUntil(files.bundles.written.isVisible)
    assert files.bundles.written.title.text() == "2 judgements written as a bundle."
    assert files.bundles.written.left_out.text() == "Nothing was left out."
    assert not files.bundles.written.python.isVisible()


def test_an_export_that_fails_shows_no_summary(qtbot, context, files, tmp_path):
    files.exports.export_file(tmp_path)  # a folder
    qtbot.waitUntil(files.exports.notice.isVisible)
    assert not files.exports.written.isVisible()


@pytest.mark.parametrize("form", ["peft", "merged", "gguf", "gguf-lora"])
def test_models_say_format_files_and_what_to_do(tmp_path, form):
    (tmp_path / "model.bin").write_bytes(b"x" * 1_500_000)
    how = 'Load it with: Auto.from_pretrained("x")' if form in ("peft", "merged") else "Ollama: …"
    said = model_written(Exported(tmp_path, (tmp_path / "model.bin",), how), form, "Kinder")
    assert dict(said.facts)["Size"] == "1.5 MB"
    assert dict(said.facts)["Files"] == "model.bin"
    assert (said.python, said.next) == (('Auto.from_pretrained("x")', "") if form in ("peft", "merged") else ("", "Ollama: …"))


def test_a_report_is_opened_and_stays_to_be_found(qtbot, session, theme, tmp_path, opened):
    page = tmp_path / "report.html"
    page.write_text("<p>hello")
    card = WrittenCard()
    qtbot.addWidget(card)
    show_report(session, page, card)
    assert opened == [QUrl.fromLocalFile(str(page))]
    assert (card.title.text(), shown(card)["Where"]) == ("The report is written.", str(page))


def test_the_path_is_copied_and_the_folder_shown(qtbot, theme, tmp_path, opened):
    page = tmp_path / "report.html"
    page.write_text("x")
    card = WrittenCard()
    qtbot.addWidget(card)
    card.show_written(report_written(page))
    card.copy.click()
    assert QGuiApplication.clipboard().text() == str(page)
    assert card.copy.text() == "Copied"
    card.folder.click()
    assert len(opened) == 1
    page.unlink()
    card.folder.click()
    assert "Copy the path instead" in card.next.text()


def test_each_system_shows_a_file_in_its_own_way(tmp_path, opened):
    page, said = tmp_path / "a b.jsonl", []
    page.write_text("x")

    def start(program, arguments):
        said.append((program, list(arguments)))
        return True, 7

    assert show_in_folder(page, "win32", start)
    assert show_in_folder(page, "darwin", start)
    assert said == [("explorer", [f"/select,{page}"]), ("open", ["-R", str(page)])]
    assert show_in_folder(page, "linux", start)
    assert opened == [QUrl.fromLocalFile(str(tmp_path))]
    assert not show_in_folder(tmp_path / "gone", "win32", start)
