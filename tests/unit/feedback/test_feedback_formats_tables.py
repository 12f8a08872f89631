"""Tables as people have them: what Excel writes in each country, and what nobody should have written."""

import csv
import datetime
import io
import string

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.formats import read_feedback
from rlhf_desktop.feedback.formats.containers import read_items, understanding_of
from rlhf_desktop.feedback.formats.tables import _records, safe_cell
from rlhf_desktop.feedback.rows import Problem, RankingRow

HEAD = ["prompt", "chosen", "rejected"]
ROWS = [["Où est la gare ?", "Près de l’hôtel – à gauche.", "Je ne sais pas; demandez, s'il vous plaît."],
        ["Größe?", 'Übermäßig,\n"sehr" groß', "klein"]]  # fmt: skip
MEANT = [RankingRow([{"role": "user", "content": row[0]}], (row[1], row[2]), (1, 2)) for row in ROWS]


def written(rows, delimiter=",", quoting=csv.QUOTE_MINIMAL, end="\r\n"):
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(rows)
    return out.getvalue()


def values(path):
    return [item.value for item in read_items(path)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_every_way_excel_writes_a_table(tmp_path, delimiter, encoding, quoting):
    path = tmp_path / "excel.csv"
    path.write_bytes(written([HEAD, *ROWS], delimiter, quoting).encode(encoding))
    assert list(read_feedback(path)) == MEANT


@pytest.mark.parametrize("first", ["sep=;\r\n", '"sep=;"\n', "SEP=;\r\n"])
def test_a_first_line_that_says_the_separator_is_passed_over(tmp_path, first):
    path = tmp_path / "excel.csv"
    path.write_text(first + written([HEAD, *ROWS], ";"), encoding="utf-8-sig", newline="")
    assert list(read_feedback(path)) == MEANT


def test_text_from_excel_is_utf_16_with_tabs(tmp_path):
    path = tmp_path / "excel.txt"
    path.write_bytes(written([HEAD, *ROWS], "\t").encode("utf-16"))
    assert list(read_feedback(path)) == MEANT
    assert understanding_of(path).notes == ("Its letters are read as UTF-16.", "Its columns are separated by tabs.")


LETTERS = {
    "cp1250": ["Gdzie jest dworzec?", "Zażółć gęślą jaźń, proszę pana, naprzeciw kościoła.", "Nie wiem, może spytać kogoś innego?"],
    "cp1251": ["Где находится вокзал?", "Напротив гостиницы, на левой стороне улицы.", "Я не знаю, спросите кого-нибудь другого."],
    "cp1253": ["Πού είναι ο σταθμός;", "Απέναντι από το ξενοδοχείο, στα αριστερά σας.", "Δεν ξέρω, ρωτήστε κάποιον άλλον εδώ."],
    "cp932": ["駅はどこですか。", "ホテルの向かい側、左手にあります。", "わかりません。ほかの人に聞いてください。"],
    "gb18030": ["火车站在哪里？", "在酒店对面，左手边，走路五分钟就到。", "我不知道，请您问一下别人吧。"],
}


@pytest.mark.parametrize("encoding", LETTERS)
def test_letters_of_other_code_pages_are_all_there(tmp_path, encoding):
    rows = [LETTERS[encoding]] * 5
    path = tmp_path / "f.csv"
    path.write_bytes(written([HEAD, *rows], ";").encode(encoding))
    assert [row.completions for row in read_feedback(path)] == [tuple(rows[0][1:])] * 5
    assert understanding_of(path).notes[0].startswith("Its letters are read as ")


def test_letters_far_down_decide_too(tmp_path):
    path = tmp_path / "f.csv"
    plain = [["What?", "This", "That"]] * 3000
    path.write_bytes(written([HEAD, *plain, *ROWS]).encode("cp1252"))
    assert list(read_feedback(path))[-2:] == MEANT


def test_one_damaged_row_among_utf_8_is_set_aside_and_not_guessed_at(tmp_path):
    path = tmp_path / "f.csv"
    path.write_bytes("prompt,chosen,rejected\nGröße?,groß,klein\nÜber?,ja,nein\n".encode() + b"x,\xff,z\n")
    first, second, bad = read_feedback(path)
    assert (first.completions, second.completions) == (("groß", "klein"), ("ja", "nein"))
    assert isinstance(bad, Problem)
    assert bad.reason.startswith("it is not UTF-8 text")


def test_a_table_has_names_in_its_first_row(tmp_path):
    path = tmp_path / "f.csv"
    path.write_bytes(b'\xef\xbb\xbfprompt , n\n"a, ""b""\nc",1\nonly one\n\n,,\nx\0y,\n"[1, 2]",{oops\n,,\n')
    first, bad, third, fourth = values(path)
    assert first == {"prompt": 'a, "b"\nc', "n": "1"}
    assert bad.reason == "it has 1 columns; the first row names 2"
    assert third == {"prompt": "xy"}
    assert fourth == {"prompt": "[1, 2]", "n": "{oops"}


def test_a_table_with_a_quote_left_open_ends_with_a_problem(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text('a,b\n1,2\n"open,3\n4,5\n')
    first, problem = values(path)
    assert first == {"a": "1", "b": "2"}
    assert "damaged" in problem.reason


def test_columns_of_one_name_are_told_apart(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("Frage;Antwort;Antwort;;Antwort\nq;a;b;c;d\n")
    assert values(path) == [{"Frage": "q", "Antwort": "a", "Antwort (3)": "b", "column 4": "c", "Antwort (5)": "d"}]


def test_an_answer_that_is_json_stays_a_text_and_messages_are_messages(tmp_path):
    path = tmp_path / "j.csv"
    talk = '[{"role": "assistant", "content": "6"}]'
    rows = [["Return JSON", '{"name": "Bob"}', "Bob"], ["[1, 2, 3]?", "[2, 3, 5]", "{}"], ["q", talk, '[{"a": 1}]']]
    path.write_text(written([HEAD, *rows]))
    assert [(row.prompt[0]["content"], row.completions) for row in read_feedback(path)] == [
        ("Return JSON", ('{"name": "Bob"}', "Bob")), ("[1, 2, 3]?", ("[2, 3, 5]", "{}")), ("q", ("6", '[{"a": 1}]')),
    ]  # fmt: skip


# --- formulas


@given(st.text(alphabet=string.printable + "'=+-@＝é", max_size=6))
def test_a_text_that_a_spreadsheet_would_run_comes_back_as_it_was(text):
    safe = safe_cell(text)
    assert safe[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n", "＝")
    assert read_cells([["prompt", "output"], ["q", safe or "x"]])[0]["output"] == (text or "x")


def read_cells(rows):
    return [item.value for item in _records(((cells, 0) for cells in rows), "f.csv")]


# --- workbooks


def book(path, *sheets):
    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in sheets:
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(row)
    made.save(path)


def test_a_workbook_is_read_from_its_first_sheet_with_rows(tmp_path):
    path = tmp_path / "f.xlsx"
    book(path, ("Empty", []), ("Rows", [HEAD, *ROWS, [None, None, None], ["2 + 2?", 4, 5.0]]), ("Other", [["x"], ["y"]]))
    *first, last = read_feedback(path)
    assert first == MEANT
    assert last.completions == ("4", "5")


def test_every_sheet_of_a_workbook_that_holds_a_table_is_read(tmp_path):
    path = tmp_path / "f.xlsx"
    notes = [["Made by Ann"], ["See the other sheets"]]
    book(path, ("Notes", notes), ("Week 1", [HEAD, ROWS[0]]), ("Week 2", [["rejected", "chosen", "prompt"], ROWS[1][::-1]]))
    assert list(read_feedback(path)) == MEANT


def test_a_title_above_the_headings_is_passed_over(tmp_path):
    book(tmp_path / "f.xlsx", ("Survey", [["Results of May", None, None], [], HEAD, *ROWS]))
    assert list(read_feedback(tmp_path / "f.xlsx")) == MEANT
    (tmp_path / "f.csv").write_bytes(written([["Results of May", "", ""], HEAD, *ROWS], ";").encode("cp1252"))
    assert list(read_feedback(tmp_path / "f.csv")) == MEANT


def test_truth_and_dates_in_a_workbook_are_written_out(tmp_path):
    path = tmp_path / "f.xlsx"
    book(
        path,
        ("Rows", [["prompt", "completion", "label", "day"], ["q", "a", True, datetime.date(2026, 1, 31)], ["q", "b", False, None]]),
    )
    assert [row["label"] for row in values(path)] == ["true", "false"]
    assert [row.verdicts[0].up for row in read_feedback(path)] == [True, False]


def test_a_damaged_workbook_is_said_to_be(tmp_path):
    path = tmp_path / "f.xlsx"
    book(path, ("Rows", [HEAD, *ROWS]))
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(BadInput, match="is damaged"):
        values(path)


def test_what_no_encoding_explains_is_refused(tmp_path):
    path = tmp_path / "f.csv"
    noise = bytes(range(0x80, 0x100)) * 4
    path.write_bytes(b"prompt,chosen,rejected\n" + b"".join(b"q," + noise[n::7] + b",x\n" for n in range(7)))
    try:
        rows = list(read_feedback(path))
    except BadInput as refused:
        assert "UTF-8" in refused.hint  # noqa: PT017
    else:
        texts = "".join(text for row in rows if not isinstance(row, Problem) for text in row.completions)
        assert "\ufffd" not in texts
