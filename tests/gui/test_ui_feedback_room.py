import gc
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from weakref import WeakSet

import pytest
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QLineEdit

from rlhf_desktop.core import lockedfile
from rlhf_desktop.core.errors import AppError
from rlhf_desktop.feedback.judgements import Correction, Judgement, Ranking, Span, Spans, Thumbs
from rlhf_desktop.feedback.protocol import PRESETS
from rlhf_desktop.operations.bundles import export_bundle, inspect_bundle, merge_bundle
from rlhf_desktop.operations.history import measure_history
from rlhf_desktop.operations.labelling import label_queue
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.erasing import bury, with_texts
from rlhf_desktop.ui.feedback import judgements_page
from rlhf_desktop.ui.feedback.detail import differences
from rlhf_desktop.ui.feedback.room import FeedbackRoom
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.text import Label
from tests.encrypted import PASSPHRASE, cheap_kdf


@pytest.fixture
def room(qtbot, context):
    made = FeedbackRoom(context)
    qtbot.addWidget(made.widget())
    made.widget().resize(1200, 700)
    made.widget().show()
    return made


@pytest.fixture
def page(room):
    return room.judgements


FIRST_IS_BETTER = Ranking((1, 2))


def judge(context, n, who="me", verdict=FIRST_IS_BETTER, **more):
    store, project = context.store, context.session.project
    start = datetime.now(UTC) - timedelta(hours=1)
    with store.connection.transaction():
        for i in range(n):
            _, leaf = store.conversations.start(project.id, [{"role": "user", "content": f"question {i}"}])
            nodes = store.conversations.add_answers(leaf.id, ["good", "bad"])
            when = (start + timedelta(seconds=i)).isoformat(timespec="milliseconds")
            store.judgements.add(
                Judgement(project.id, who, tuple(node.id for node in nodes), verdict, critique="Kind.", created_at=when, **more)
            )


def shown(qtbot, page, row):
    qtbot.waitUntil(lambda: page.model is not None and page.model.row(row) is not None)
    return [page.model.data(page.model.index(row, column), Qt.ItemDataRole.DisplayRole) for column in range(5)]


def opened(qtbot, page, prompt):
    qtbot.waitUntil(lambda: page.detail._item is not None and page.detail._item.prompt[-1]["content"] == prompt)


def ask_to_erase(qtbot, page):
    page.erase.click()
    qtbot.waitUntil(page.erasing.sure.isEnabled)


def confirm_erasing(qtbot, page):
    page.erasing.sure.setChecked(True)
    with qtbot.waitSignal(page.erasing.erased):
        page.erasing.go.click()


def prompts(page):
    return [page.model.row(n).prompt for n in range(page.model.rowCount()) if page.model.row(n)]


def test_an_empty_room_leads_to_chat(qtbot, context, room, page):
    room.activated()
    qtbot.waitUntil(lambda: page.currentWidget() is page.empty)
    with qtbot.waitSignal(context.session.roomRequested) as asked:
        page.empty.button.click()
    assert asked.args == ["chat"]


def test_judgements_that_take_long_to_find_are_said_to_be_looked_for(qtbot, context, room, page, monkeypatch):
    judge(context, 2)
    any_, go_on = context.store.judgements.any, threading.Event()
    monkeypatch.setattr(context.store.judgements, "any", lambda project_id: go_on.wait(60) and any_(project_id))
    page.show()
    room.activated()
    assert page.currentWidget() is page.looking
    qtbot.waitUntil(page.looking.meter.isVisible)
    go_on.set()
    qtbot.waitUntil(lambda: page.currentWidget() is page.split)
    qtbot.waitUntil(lambda: page.counted.text() == "2 judgements")
    room.refresh()  # the same project again: the table stays
    assert page.currentWidget() is page.split


@pytest.mark.parametrize("width", [420, 700, 1200])
def test_every_column_is_in_sight_however_wide_the_table(qtbot, context, room, page, width):
    judge(context, 3)
    room.activated()
    qtbot.waitUntil(lambda: page.table.model() is not None)
    page.table.resize(width, 300)
    header = page.table.horizontalHeader()
    assert header.length() <= page.table.viewport().width()
    assert min(header.sectionSize(n) for n in range(5)) >= 6 * page.table.fontMetrics().averageCharWidth()
    if width == 1200:
        assert header.sectionSize(3) >= page.table.fontMetrics().horizontalAdvance("Dr Wilhelmina Haddad")


def test_rows_come_newest_first_and_page_by_page(qtbot, context, room, page):
    judge(context, 330)
    room.activated()
    assert shown(qtbot, page, 0)[1:] == ["question 329", "A > B", "me", ""]
    qtbot.waitUntil(lambda: "330 judgements" in page.counted.text())
    while page.model.canFetchMore(page.table.rootIndex()):
        before = page.model.rowCount()
        page.model.fetchMore(page.table.rootIndex())
        qtbot.waitUntil(lambda before=before: page.model.rowCount() > before)
    assert page.model.rowCount() == 330
    assert shown(qtbot, page, 329)[1] == "question 0"


def test_a_list_that_another_has_replaced_is_not_kept(qtbot, context, room, page):
    judge(context, 3)
    room.activated()
    shown(qtbot, page, 0)
    lists = WeakSet([page.model])
    for _ in range(4):
        page.reload()
        shown(qtbot, page, 0)
        lists.add(page.model)
    context.tasks.wait()
    QCoreApplication.processEvents()
    gc.collect()
    assert list(lists) == [page.model]


def test_the_detail_shows_the_answers_as_displayed(qtbot, context, room, page):
    judge(context, 3)
    room.activated()
    opened(qtbot, page, "question 2")
    assert page.detail._item.answers == ("good", "bad")


def test_a_long_detail_is_made_part_by_part_and_seen_when_whole(qtbot, context, room, page):
    judge(context, 1)
    room.activated()
    opened(qtbot, page, "question 0")
    qtbot.waitUntil(lambda: page.detail.viewport().updatesEnabled())
    assert page.detail._parts.count() == 4  # prompt, two answers, why
    page.detail.show_item(page.detail._item, [page.detail._item.row.judgement])
    assert (page.detail._parts.count(), page.detail.viewport().updatesEnabled()) == (0, False)
    qtbot.waitUntil(lambda: page.detail.viewport().updatesEnabled())
    assert page.detail._parts.count() == 4


def test_lists_are_counted_one_at_a_time_and_the_last_one_is_said(qtbot, context, room, page, monkeypatch):
    judge(context, 3)
    judge(context, 2, verdict=Thumbs(True))
    started, go_on = [], threading.Event()

    def slowly(store, project, query, at_most):
        started.append(query)
        assert go_on.wait(60)
        return measure_history(store, project, query, at_most)

    monkeypatch.setattr(judgements_page, "measure_history", slowly)
    room.activated()
    qtbot.waitUntil(lambda: len(started) == 1)
    assert page.counted.text() == "Counting…"
    for kind in ("ranking", "thumbs"):
        before = page.model
        page.filters.kind.choose(kind, kind)
        qtbot.waitUntil(lambda before=before: page.model is not before and page.model.rowCount() > 0)
    assert len(started) == 1
    go_on.set()
    qtbot.waitUntil(lambda: page.counted.text() == "2 judgements")
    assert [query.kinds for query in started] == [(), ("thumbs",)]


def test_after_a_count_that_failed_the_list_shown_by_then_is_counted(qtbot, context, room, page, monkeypatch):
    judge(context, 2, verdict=Thumbs(True))
    asked, go_on = [], threading.Event()

    def count(store, project, query, at_most):
        asked.append(query)
        if len(asked) == 1:
            assert go_on.wait(60)
            raise AppError("The disk could not be read.", "Try again.")
        return measure_history(store, project, query, at_most)

    monkeypatch.setattr(judgements_page, "measure_history", count)
    room.activated()
    qtbot.waitUntil(lambda: len(asked) == 1)
    before = page.model
    page.filters.kind.choose("thumbs", "thumbs")
    qtbot.waitUntil(lambda: page.model is not before and page.model.rowCount() > 0)
    go_on.set()
    qtbot.waitUntil(lambda: page.counted.text() == "2 judgements")
    assert [query.kinds for query in asked] == [(), ("thumbs",)]


def test_chips_and_words_narrow_the_list(qtbot, context, room, page):
    judge(context, 3)
    judge(context, 1, who="Jonas", also=(Thumbs(False, 1),))
    room.activated()
    qtbot.waitUntil(lambda: page.model is not None and page.model.rowCount() == 4)
    page.filters.who.choose("Jonas", "Jonas")
    qtbot.waitUntil(lambda: page.model.rowCount() == 1)
    assert page.filters.who.isChecked()
    assert page.filters.who.accessibleName() == "Who: Jonas"
    page.filters.who.choose(None, "")
    page.filters.kind.choose("thumbs", "Thumb")
    qtbot.waitUntil(lambda: page.model.rowCount() == 1)
    page.filters.kind.choose(None, "")
    qtbot.keyClicks(page.filters.search, "question 2")
    qtbot.waitUntil(lambda: prompts(page) == ["question 2"])
    page.filters.search.setText("zebra")
    qtbot.waitUntil(page.nothing.isVisible)
    assert page.detail._parts.count() == 0


def test_sorting_by_time_taken(qtbot, context, room, page):
    for seconds in (5.0, 50.0, 15.0):
        judge(context, 1, seconds_spent=seconds)
    room.activated()
    qtbot.waitUntil(lambda: page.model is not None and page.model.rowCount() == 3)
    page.filters.sort.choose("slowest", "slowest first")
    qtbot.waitUntil(lambda: page.model.rowCount() == 3 and page.model.row(0).judgement.seconds_spent == 50.0)
    assert [page.model.row(n).judgement.seconds_spent for n in range(3)] == [50.0, 15.0, 5.0]


def test_several_are_tagged_at_once_and_found_by_the_tag(qtbot, context, room, page):
    judge(context, 4)
    room.activated()
    opened(qtbot, page, "question 3")
    page.table.selectAll()
    qtbot.waitUntil(lambda: page.selected.text() == "4 selected")
    qtbot.keyClicks(page.tag, "unsure")
    qtbot.keyClick(page.tag, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: context.store.tags.counts(context.session.project.id) == {"unsure": 4})
    qtbot.waitUntil(lambda: shown(qtbot, page, 0)[4] == "unsure")
    opened(qtbot, page, "question 3")
    page.detail.untagged.emit(page.detail._item.row.judgement.id, "unsure")
    qtbot.waitUntil(lambda: context.store.tags.counts(context.session.project.id) == {"unsure": 3})
    page.filters.tag.choose("unsure", "unsure")
    qtbot.waitUntil(lambda: page.model.rowCount() == 3)


def test_withdraw_and_undo_and_restore(qtbot, context, room, page):
    judge(context, 1)
    store, project = context.store, context.session.project
    room.activated()
    opened(qtbot, page, "question 0")
    with qtbot.waitSignal(context.session.announced) as toast:
        page.detail.withdraw.click()
    assert store.judgements.effective(project.id) == []
    qtbot.waitUntil(lambda: shown(qtbot, page, 0)[2] == "A > B (taken back)")
    with qtbot.waitSignal(context.session.announced):
        toast.args[1]()
    assert len(store.judgements.effective(project.id)) == 1
    qtbot.waitUntil(page.detail.withdraw.isVisible)
    with qtbot.waitSignal(context.session.announced):
        page.detail.withdraw.click()
    with qtbot.waitSignal(context.session.announced):
        page.restore(page.detail._item.row.judgement.id)
    assert len(store.judgements.effective(project.id)) == 1


def test_revising_by_keys_adds_a_version(qtbot, context, room, page):
    judge(context, 1)
    room.activated()
    opened(qtbot, page, "question 0")
    qtbot.keyClick(page.table, Qt.Key.Key_E)
    assert page.currentWidget() is page.revising
    board = page.revising.area.board
    assert page.revising.judging.draft.ranking.describe() == "A > B"
    qtbot.waitUntil(page.revising.prompt.isVisible)
    assert page.revising.prompt._messages[-1]["content"] == "question 0"
    qtbot.keyClick(board, Qt.Key.Key_1)  # as it is: nothing to save
    assert page.currentWidget() is page.revising
    qtbot.keyClick(board, Qt.Key.Key_2)
    qtbot.waitUntil(lambda: page.currentWidget() is page.split)
    (judgement,) = context.store.judgements.effective(context.session.project.id)
    assert judgement.verdict.ranks == (2, 1)
    assert judgement.critique == "Kind."
    page.table.selectRow(0)
    qtbot.waitUntil(lambda: any("changed: the order" in label.text() for label in page.detail.findChildren(Label)))


def test_revising_keeps_what_the_protocol_no_longer_asks(qtbot, context, room, page):
    judge(context, 1, also=(Spans((Span(0, 0, 2, "odd"),)), Correction("best", 0)))
    context.store.protocols.set(context.session.project.id, PRESETS["Quick pairs"])
    room.activated()
    opened(qtbot, page, "question 0")
    page.detail.revise.click()
    page.revising.judging.set_why("Kinder.")
    qtbot.keyClick(page.revising.area.board, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: page.currentWidget() is page.split)
    (judgement,) = context.store.judgements.effective(context.session.project.id)
    assert judgement.kinds == ("ranking", "spans", "correction")
    assert judgement.critique == "Kinder."


def test_versions_say_what_they_changed():
    first = Judgement("p", "me", ("a", "b"), Ranking((1, 2)))
    then = Judgement("p", "me", ("a", "b"), Ranking((2, 1)), also=(Thumbs(True),), critique="why", supersedes=first.id)
    assert differences(first, then) == ["the order", "thumbs", "the reason"]
    assert differences(then, then) == []


def ranking(prompt="q"):
    return {"prompt": [{"role": "user", "content": prompt}], "completions": [{"text": "a", "rank": 1}, {"text": "b", "rank": 2}]}


def test_import_says_what_was_left_out_and_export_writes_it_back(qtbot, context, room, tmp_path):
    file = tmp_path / "in.jsonl"
    file.write_text(json.dumps(ranking()) + "\nnot json\n")
    room.tabs.setCurrentIndex(room.tabs.count() - 1)
    imports, exports = room.files.imports, room.files.exports
    with qtbot.waitSignal(context.session.feedbackChanged):
        imports.import_file(file)
    assert "Imported 1 judgement." in imports.notice.words.text()
    assert "1 row could not be used" in imports.notice.words.text()
    exports.export_file(tmp_path / "out.jsonl")
    qtbot.waitUntil(lambda: "1 record from 1 judgement written." in exports.written.title.text())
    assert json.loads((tmp_path / "out.jsonl").read_text())["completions"] == ranking()["completions"]


def test_a_preview_recognises_the_format_and_changes_nothing(qtbot, context, room, tmp_path):
    file = tmp_path / "trl.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"q{n}", "chosen": "yes", "rejected": "no"}) + "\n" for n in range(3)))
    imports = room.files.imports
    imports.open(file)
    qtbot.waitUntil(lambda: imports.preview.isVisibleTo(imports) and imports.go.isEnabled())
    assert "likely" in imports.form.itemText(1)
    assert context.store.judgements.size(context.session.project.id) == 0
    with qtbot.waitSignal(imports.imported):
        imports.go.click()
    assert context.store.judgements.size(context.session.project.id) == 3


def test_unknown_columns_are_mapped(qtbot, context, room, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("alpha,beta,gamma\nq1,yes,no\nq2,yes,no\n")
    imports = room.files.imports
    imports.open(file)
    qtbot.waitUntil(lambda: imports.asking.isVisibleTo(imports))
    assert imports.form.currentData() == "preference"  # what a table mostly holds, its columns offered
    for field, column in (("prompt", "alpha"), ("chosen", "beta"), ("rejected", "gamma")):
        box = imports._columns[field]
        box.setCurrentIndex(box.findData(column))
    imports._look()
    qtbot.waitUntil(imports.go.isEnabled)
    assert not imports.asking.isVisibleTo(imports)
    with qtbot.waitSignal(imports.imported):
        imports.go.click()
    assert context.store.judgements.size(context.session.project.id) == 2


def test_of_a_file_chosen_before_nothing_stays_to_be_imported(qtbot, context, room, tmp_path):
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    for file, n in ((first, 3), (second, 5)):
        file.write_text("".join(json.dumps({"prompt": f"q{i}", "chosen": file.name, "rejected": "no"}) + "\n" for i in range(n)))
    imports = room.files.imports
    imports.open(first)
    qtbot.waitUntil(imports.go.isEnabled)
    imports.open(first)
    imports.open(second)  # while the first is still looked at
    assert not imports.preview.isVisibleTo(imports)
    assert not imports.go.isEnabled()
    qtbot.waitUntil(imports.go.isEnabled)
    assert imports.go.text() == "Import 5 rows"
    context.tasks.wait()
    assert imports.go.text() == "Import 5 rows"


def test_german_headings_are_proposed_and_a_column_fills_one_field(qtbot, context, room, tmp_path):
    file = tmp_path / "excel.csv"
    file.write_bytes("Frage;Bessere Antwort;Schlechtere Antwort\nGröße?;groß;klein\nÜber?;ja;nein\n".encode("cp1252"))
    imports = room.files.imports
    imports.open(file)
    qtbot.waitUntil(lambda: imports.preview.isVisibleTo(imports) and imports.go.isEnabled())
    assert imports._mapped() == {"prompt": "Frage", "chosen": "Bessere Antwort", "rejected": "Schlechtere Antwort"}
    assert imports.go.text() == "Import 2 rows"
    assert imports.counted.text().startswith("2 rows can be used. Its letters are read as Windows-1252")
    assert "separated by semicolons" in imports.counted.text()
    box = imports._columns["rejected"]
    box.setCurrentIndex(box.findData("Frage"))
    box.activated.emit(box.currentIndex())
    assert imports._columns["prompt"].currentData() == ""
    qtbot.waitUntil(lambda: not imports.go.isEnabled())


def test_another_programs_conversations_are_counted_and_wait_in_label(qtbot, context, room, tmp_path):
    asked = [{"uuid": "1", "sender": "human", "text": "A joke?", "parent_message_uuid": "0"}]
    answers = [
        {"uuid": key, "sender": "assistant", "text": text, "parent_message_uuid": "1"}
        for key, text in (("2", "No."), ("3", "Boo."))
    ]
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "conversations.json").write_text(json.dumps([{"uuid": "c", "chat_messages": asked + answers}]))
    (folder / "users.json").write_text("[]")
    imports = room.files.imports
    imports.open(folder)
    qtbot.waitUntil(lambda: imports.preview.isVisibleTo(imports) and imports.go.isEnabled())
    assert "Claude" in imports.form.itemText(1)
    assert imports.counted.text() == "1 conversation, 1 question with alternatives to judge."
    with qtbot.waitSignal(imports.imported):
        imports.go.click()
    said = imports.notice.words.text()
    assert said.startswith("Imported 1 conversation, 1 question with alternatives to judge. Their answers wait for you in Label.")
    assert label_queue(context.store, context.session.project, "me").left == 1


def test_what_a_file_does_not_say_is_asked_and_the_answer_is_what_is_imported(qtbot, context, room, tmp_path):
    file = tmp_path / "marks.jsonl"
    said = {"rank": [{"value": 2, "user_id": "u"}], "quality": [{"value": 3, "user_id": "u"}]}
    file.write_text(json.dumps({"fields": {"prompt": "q", "response": "a"}, "responses": said}) + "\n")
    imports = room.files.imports
    imports.open(file)
    qtbot.waitUntil(lambda: "scale:rank" in imports.questions.fields)
    assert not imports.go.isEnabled()
    field = imports.questions.fields["scale:rank"]
    field.setCurrentIndex(field.findData("5-1"))
    field.activated.emit(field.currentIndex())
    qtbot.waitUntil(lambda: "scale:quality" in imports.questions.fields and imports.go.isEnabled())
    likely = imports.questions.fields["scale:quality"]
    assert likely.currentData() == "1-5"
    likely.lineEdit().editingFinished.emit()
    assert set(imports.questions.answers) == {"scale:rank"}, "leaving a field is no answer"
    likely.setEditText("1-10")
    likely.lineEdit().editingFinished.emit()
    qtbot.waitUntil(lambda: imports.questions.answers == {"scale:rank": "5-1", "scale:quality": "1-10"})
    with qtbot.waitSignal(imports.imported):
        imports.go.click()
    (judgement,) = context.store.judgements.effective(context.session.project.id)
    assert [(r.attribute, r.levels, r.scores) for r in judgement.verdict.ratings] == [("rank", 5, (4,)), ("quality", 10, (3,))]
    assert "Taken as likely" not in imports.notice.words.text()


def test_a_file_of_nonsense_is_one_clear_sentence(qtbot, context, room, tmp_path):
    file = tmp_path / "bad.jsonl"
    file.write_text("")
    imports = room.files.imports
    imports.import_file(file)
    qtbot.waitUntil(lambda: imports.notice.isVisibleTo(imports))
    assert imports.notice.words.text()
    assert context.store.judgements.size(context.session.project.id) == 0


def test_a_cancelled_import_changes_nothing(qtbot, context, room, tmp_path):
    file = tmp_path / "big.jsonl"
    file.write_text("".join(json.dumps(ranking(f"q{n}")) + "\n" for n in range(3000)))
    imports = room.files.imports
    imports.import_file(file)
    imports.stop.click()
    qtbot.waitUntil(lambda: imports.notice.isVisibleTo(imports))
    assert "cancelled" in imports.notice.words.text()
    assert context.store.judgements.size(context.session.project.id) == 0


def test_erasing_says_what_goes_and_wants_to_be_confirmed(qtbot, context, room, page):
    judge(context, 2)
    room.activated()
    opened(qtbot, page, "question 1")
    page.table.selectRow(0)
    ask_to_erase(qtbot, page)
    assert not page.erasing.go.isEnabled()
    assert any("1 judgement: what you chose" in label.text() for label in page.erasing.findChildren(Label))
    confirm_erasing(qtbot, page)
    qtbot.waitUntil(lambda: page.currentWidget() is page.split and prompts(page) == ["question 0"])
    assert context.store.judgements.size(context.session.project.id) == 1
    opened(qtbot, page, "question 0")


def test_the_last_one_erased_leaves_none_of_its_words_on_screen(qtbot, context, room, page):
    judge(context, 1)
    room.activated()
    opened(qtbot, page, "question 0")
    ask_to_erase(qtbot, page)
    confirm_erasing(qtbot, page)
    assert page.detail._parts.count() == 0
    assert not any("A > B" in label.text() for label in page.detail.findChildren(Label))
    assert not page.detail.revise.isVisibleTo(page.detail)
    qtbot.waitUntil(lambda: page.currentWidget() is page.empty)


def test_keeping_everything_is_the_way_back(qtbot, context, room, page):
    judge(context, 1)
    room.activated()
    opened(qtbot, page, "question 0")
    ask_to_erase(qtbot, page)
    page.erasing.keep.click()
    assert page.currentWidget() is page.split
    assert context.store.judgements.size(context.session.project.id) == 1


def test_a_bundle_is_looked_through_and_merged_into_another_project(qtbot, context, room, tmp_path):
    judge(context, 3, who="Jonas")
    bundles = room.files.bundles
    bundles.write(tmp_path / "mine.rlhf.zip")
    qtbot.waitUntil(lambda: "written as a bundle" in bundles.written.title.text())
    with Store.open(tmp_path / "other.db") as elsewhere:
        context.session.set_project(elsewhere.projects.create("Elsewhere"))
        other = FeedbackRoom(replace(context, store=elsewhere))
        qtbot.addWidget(other.widget())
        there = other.files.bundles
        there.open(tmp_path / "mine.rlhf.zip")
        qtbot.waitUntil(lambda: there.summary.isVisibleTo(there))
        assert "3 judgements by Jonas, 3 of them new here" in there._said.text()
        with qtbot.waitSignal(there.merged):
            there.merge.click()
        assert "3 new judgements" in there.notice.words.text()
        assert elsewhere.judgements.size(context.session.project.id) == 3


def test_an_encrypted_bundle_is_made_and_opened_with_its_passphrase(qtbot, context, room, tmp_path, monkeypatch):
    monkeypatch.setattr(lockedfile, "new_kdf", cheap_kdf)
    judge(context, 2, who="Jonas")
    bundles, path = room.files.bundles, tmp_path / "mine.rlhf.locked"
    bundles.protect.setChecked(True)
    assert not bundles.make.isEnabled()
    bundles.passphrase.first.edit.setText(PASSPHRASE)
    bundles.passphrase.again.edit.setText(PASSPHRASE)
    assert bundles.make.isEnabled()
    bundles.write(path)
    qtbot.waitUntil(lambda: "written as a bundle" in bundles.written.title.text())
    assert lockedfile.is_locked(path)
    assert (bundles.passphrase.text(), bundles.protect.isChecked()) == ("", False)
    with Store.open(tmp_path / "other.db") as elsewhere:
        context.session.set_project(elsewhere.projects.create("Elsewhere"))
        other = FeedbackRoom(replace(context, store=elsewhere))
        qtbot.addWidget(other.widget())
        there = other.files.bundles
        there.open(path)
        qtbot.waitUntil(lambda: there.asking.isVisibleTo(there))
        assert not there.summary.isVisibleTo(there)
        there.key.edit.setText("not this one")
        qtbot.keyClick(there.key.edit, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: "cannot be opened with this passphrase" in there.notice.words.text())
        there.key.edit.setText(PASSPHRASE)
        there.unlock.click()
        qtbot.waitUntil(lambda: there.summary.isVisibleTo(there))
        assert not there.asking.isVisibleTo(there)
        with qtbot.waitSignal(there.merged):
            there.merge.click()
        assert elsewhere.judgements.size(context.session.project.id) == 2
        assert there.key.text() == ""
    assert [file.name for file in tmp_path.iterdir() if file.name.endswith(".tmp")] == []


@pytest.mark.parametrize("ticked", [False, True])
def test_what_a_colleague_erased_goes_here_only_when_ticked(qtbot, context, room, tmp_path, ticked):
    judge(context, 2)
    project = context.session.project
    chosen = context.store.judgements.all(project.id)[0]
    with Store.open(tmp_path / "other.db") as elsewhere:
        there = elsewhere.projects.create("Support")
        export_bundle(context.store, project, tmp_path / "mine.zip")
        merge_bundle(elsewhere, there, tmp_path / "mine.zip")
        bury(elsewhere, [chosen.id, *chosen.displayed])
        export_bundle(elsewhere, there, tmp_path / "theirs.zip")
    bundles = room.files.bundles
    bundles.open(tmp_path / "mine.zip")
    qtbot.waitUntil(lambda: bundles.summary.isVisibleTo(bundles))
    assert not bundles.erasures.isVisibleTo(bundles), "nothing would go"
    bundles.open(tmp_path / "theirs.zip")
    qtbot.waitUntil(lambda: "has erased 1 judgement" in bundles._said.text())
    assert bundles.erasures.isVisibleTo(bundles)
    assert bundles.erasures.keys == [], "nothing goes unasked"
    if ticked:
        bundles.erasures.all.click()
    with qtbot.waitSignal(bundles.merged):
        bundles.merge.click()
    assert context.store.judgements.size(project.id) == (1 if ticked else 2)
    assert ("1 judgement went because" in bundles.notice.words.text()) is ticked


def test_of_two_bundles_opened_in_a_row_the_second_is_shown_whichever_was_read_first(qtbot, context, room, tmp_path, monkeypatch):
    judge(context, 2)
    export_bundle(context.store, context.session.project, tmp_path / "one.zip")
    export_bundle(context.store, context.session.project, tmp_path / "two.zip")
    bundles, gate, heard = room.files.bundles, threading.Event(), []

    def inspect(store, project, path):
        assert path.name == "two.zip" or gate.wait(10)
        return inspect_bundle(store, project, path)

    monkeypatch.setattr("rlhf_desktop.ui.feedback.bundling.inspect_bundle", inspect)
    shown = bundles._inspected
    monkeypatch.setattr(bundles, "_inspected", lambda *found: (shown(*found), heard.append(found)))
    bundles.open(tmp_path / "one.zip")
    bundles.open(tmp_path / "two.zip")
    qtbot.waitUntil(lambda: bundles._said.text().startswith("two.zip"))
    bundles._said.setText("as it was")
    gate.set()
    qtbot.waitUntil(lambda: len(heard) == 2)
    assert bundles._said.text() == "as it was"


def test_a_hostile_bundle_is_refused_in_words(qtbot, context, room, tmp_path):
    file = tmp_path / "evil.zip"
    file.write_bytes(b"PK\x05\x06" + b"\0" * 18)
    room.files.bundles.open(file)
    qtbot.waitUntil(lambda: room.files.bundles.notice.isVisibleTo(room.files.bundles))
    assert room.files.bundles.notice.words.text()
    assert not room.files.bundles.summary.isVisibleTo(room.files.bundles)


def test_quality_says_numbers_with_intervals_and_leads_to_the_quickest(qtbot, context, room):
    judge(context, 12, seconds_spent=0.1)
    room.activated()
    room.tabs.setCurrentIndex(1)
    qtbot.waitUntil(lambda: any("100%" in label.text() for label in room.quality.findChildren(Label)))
    said = " ".join(label.text() for label in room.quality.findChildren(Label))
    assert "The answer shown first wins" in said
    assert "You lean to the first" in said
    assert "12 judgements were made faster" in said
    assert len(room.quality._plots) == 2
    room.quality.tooFastRequested.emit()
    assert room.tabs.currentIndex() == 0
    assert room.judgements.filters.query().sort == "quickest"


def test_a_disagreement_is_settled_for_all(qtbot, context, room):
    store, project = context.store, context.session.project
    _, leaf = store.conversations.start(project.id, [{"role": "user", "content": "q"}])
    a, b = (node.id for node in store.conversations.add_answers(leaf.id, ["good", "bad"]))
    store.judgements.add(Judgement(project.id, "Amina", (a, b), Ranking((1, 2))))
    store.judgements.add(Judgement(project.id, "Jonas", (b, a), Ranking((1, 2))))
    room.tabs.setCurrentIndex(2)
    settle = lambda: next((w for w in room.team.findChildren(Button) if w.accessibleName().startswith("Settle:")), None)  # noqa: E731
    qtbot.waitUntil(lambda: settle() is not None)
    assert settle().accessibleName() == "Settle: Amina: A > B   ·   Jonas: B > A"  # in one order, though they saw two
    settle().click()
    qtbot.keyClick(room.team.settling.area.board, Qt.Key.Key_1)
    qtbot.waitUntil(lambda: store.judgements.effective(project.id)[-1].purpose == "adjudication")
    qtbot.waitUntil(lambda: any("None: wherever" in label.text() for label in room.team.findChildren(Label)))


def test_profiles_are_kept(qtbot, context, room):
    room.tabs.setCurrentIndex(2)
    name = who_am_i(context.store)
    fields = lambda: [f for f in room.team.findChildren(QLineEdit) if f.accessibleName() == f"Role of {name}"]  # noqa: E731
    qtbot.waitUntil(lambda: len(fields()) == 1)
    qtbot.keyClicks(fields()[0], "Nurse")
    qtbot.keyClick(fields()[0], Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: (kept := context.store.profiles.get(name)) is not None and kept.role == "Nurse")


def test_after_a_change_the_table_is_where_it_was_with_the_same_rows_marked(qtbot, context, room, page):
    judge(context, 350)
    room.activated()
    qtbot.waitUntil(lambda: page.model is not None and page.model.rowCount() >= 50)
    while page.model.rowCount() < 300:
        before = page.model.rowCount()
        page.model.fetchMore(page.table.rootIndex())
        qtbot.waitUntil(lambda before=before: page.model.rowCount() > before)
    page.table.verticalScrollBar().setValue(220)
    page.table.selectRow(222)
    page._mark(page.model, [224])
    marked = {row.judgement.id for row in page.selected_rows()}
    assert len(marked) == 2
    old = page.model
    page.tag.setText("later")
    page.add_tag.click()
    qtbot.waitUntil(lambda: page.model is not old and bool(page.selected_rows()))
    assert page.table.verticalScrollBar().value() == 220
    assert {row.judgement.id for row in page.selected_rows()} == marked
    assert all(row.tags == ("later",) for row in page.selected_rows())
    assert page.table.currentIndex().row() == 222


@pytest.fixture
def erasing(context, tmp_path):
    """A bundle that erases three of the project's four questions and brings another."""
    judge(context, 4)
    project = context.session.project
    with Store.open(tmp_path / "other.db") as elsewhere:
        there = elsewhere.projects.create("Support")
        export_bundle(context.store, project, tmp_path / "mine.zip")
        merge_bundle(elsewhere, there, tmp_path / "mine.zip")
        going = with_texts(elsewhere.connection, [j.id for j in elsewhere.judgements.all(there.id)[:3]])
        bury(elsewhere, [*going.judgements, *going.messages])
        _, question = elsewhere.conversations.start(there.id, [{"role": "user", "content": "Brand new"}])
        answers = tuple(node.id for node in elsewhere.conversations.add_answers(question.id, ["a", "b"]))
        elsewhere.judgements.add(Judgement(there.id, "Bo", answers, Ranking((1, 2))))
        export_bundle(elsewhere, there, tmp_path / "theirs.zip")
    return tmp_path / "theirs.zip"


def test_erasures_are_ticked_one_by_one_with_the_keyboard_and_the_merge_is_undone(qtbot, context, room, erasing):
    project, bundles = context.session.project, room.files.bundles
    bundles.open(erasing)
    qtbot.waitUntil(lambda: bundles.summary.isVisibleTo(bundles))
    table = bundles.erasures.table
    shown = [[table.shown.cell(row, column) for column in (1, 2)] for row in range(table.shown.rowCount())]
    assert len(shown) == 3
    assert all(opening and went == "1 judgement, 2 answers" for opening, went in shown)
    assert bundles.erasures.words.text() == "0 of 3 are erased"
    table.setFocus()
    table.selectRow(1)
    assert bundles.erasures.opening.text() == shown[1][0]
    qtbot.keyClick(table, Qt.Key.Key_Space)
    assert bundles.erasures.words.text() == "1 of 3 are erased"
    before = {j.id for j in context.store.judgements.all(project.id)}
    with qtbot.waitSignal(bundles.merged):
        bundles.merge.click()
    qtbot.waitUntil(lambda: bundles.last.isVisibleTo(bundles))
    merged = {j.id for j in context.store.judgements.all(project.id)}
    assert (len(before - merged), len(merged - before)) == (1, 1)
    assert "1 new judgement" in bundles._last_words.text()
    with qtbot.waitSignal(bundles.merged):
        bundles.undo.click()
    assert {j.id for j in context.store.judgements.all(project.id)} == before & merged
    assert "1 judgement that it erased stays erased." in bundles.notice.words.text()
    qtbot.waitUntil(lambda: not bundles.last.isVisibleTo(bundles))


def test_a_merge_of_an_earlier_session_can_still_be_undone(qtbot, context, room, erasing):
    merge_bundle(context.store, context.session.project, erasing, erasures=False)
    assert not room.files.bundles.last.isVisibleTo(room.files.bundles)
    room.files.refresh()
    qtbot.waitUntil(lambda: room.files.bundles.last.isVisibleTo(room.files.bundles))
