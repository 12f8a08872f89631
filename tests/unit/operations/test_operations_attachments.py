"""Files attached to a question: read in a process of their own, refused with a reason and a remedy."""

import io
import os
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf_desktop.core.errors import AppError, BadInput, NotFound
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.feedback import extraction
from rlhf_desktop.feedback.attachments import Attachment, Document
from rlhf_desktop.operations import attachments
from rlhf_desktop.operations.attachments import (
    choose_parts,
    context_tokens,
    fit_trouble,
    prompt_with,
    read_document,
    room_beside_answer,
)
from tests.documents import locked_pdf, pdf_bytes, write_docx


def written(folder, name, data):
    (folder / name).write_bytes(data)
    return folder / name


def zipped(**files):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), data)
    return made.getvalue()


def with_a_page_nobody_can_read(pages):
    """The first page is packed in a way that there is not."""
    return pdf_bytes(pages).replace(b"<< /Length ", b"<< /Filter /None /Length ", 1)


@pytest.fixture
def quick(monkeypatch):
    """Reads in this process: starting another takes a second."""
    monkeypatch.setattr(attachments, "_extracted", lambda file, name: extraction.extract(file.read()))


# --- what is read


def test_a_large_file_is_read_through_a_process_of_its_own(tmp_path):
    read = read_document(written(tmp_path, "long.txt", b"A line of a long book.\n" * 40_000))
    assert len(read.parts) > 300
    assert read.parts[-1].endswith("A line of a long book.")


def test_a_pdf_is_read_page_by_page(quick, tmp_path):
    read = read_document(written(tmp_path, "contract.pdf", pdf_bytes(["Signed by (both).", "", "The fee is 20 €."])))
    assert read.parts == ("Signed by (both).", "", "The fee is 20 €.")
    assert (read.unit, read.total, read.name) == ("page", 3, "contract.pdf")
    assert read.note == "1 of 3 pages has no text: a picture, perhaps."


def test_a_word_file_keeps_headings_lists_and_tables(tmp_path):
    read = read_document(write_docx(tmp_path / "returns.docx"))
    assert read.parts == (
        "# Returns\n\nA broken blender may be sent back within 30 days.\n\n- Keep the receipt.\n\nFees\nPostage | 4.90\n\n"
        "Written in March.",
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_text_is_read_whatever_its_encoding(quick, tmp_path, encoding):
    text = "Größe;Preis\r\nMixer für Süßes;4,90 – täglich\r\n" * 3
    read = read_document(written(tmp_path, "liste.csv", text.encode(encoding)))
    assert read.parts == (text.replace("\r\n", "\n").strip(),)


def test_a_file_is_told_by_what_is_in_it_and_not_by_its_name(quick, tmp_path):
    assert read_document(written(tmp_path, "notes.txt", pdf_bytes(["Hello"]))).unit == "page"


def test_a_pdf_that_may_only_not_be_changed_is_read(quick, tmp_path):
    assert read_document(written(tmp_path, "a.pdf", locked_pdf(["Readable"], ""))).parts == ("Readable",)


def test_what_nobody_sees_is_taken_out(quick, tmp_path):
    read = read_document(written(tmp_path, "a.md", b"One\x1b[31m  \n\n\n\n\nTwo \xef\xac\x81ne"))
    assert read.parts == ("One[31m\n\nTwo fine",)


# --- what is refused


@pytest.mark.parametrize(
    ("data", "message", "remedy"),
    [
        (locked_pdf(["Secret"], "1234"), "locked with a password", "without the password"),
        (pdf_bytes(["", ""]), "pictures without text", "OCR"),
        (pdf_bytes(["Hello"])[:200], "damaged", "save it again"),
        (b"%PDF-1.7\n" + os.urandom(3000), "damaged", "save it again"),
        (b"", "no text in", "right file"),
        (b" \n\n ", "no text in", "right file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "a picture", "OCR"),
        (bytes(range(256)) * 40, "is no text", "PDF, Word"),
        (extraction._OLE + bytes(600), "old Word", ".docx"),
        (extraction._OLE + "EncryptedPackage".encode("utf-16-le"), "locked with a password", "without the password"),
        (zipped(readme_txt="hi"), "archive", "Unpack"),
        (zipped(word__document_xml="<w>no word</w>"), "damaged", "save it again"),
        (b"PK\x03\x04" + bytes(50), "damaged", "save it again"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "file",
)
def test_what_cannot_be_read_is_refused_with_a_remedy(quick, tmp_path, data, message, remedy):
    with pytest.raises(BadInput) as trouble:
        read_document(written(tmp_path, "given.bin", data))
    assert message in trouble.value.message
    assert "given.bin" in trouble.value.message
    assert remedy in trouble.value.hint


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(NotFound, match="There is no file"):
        read_document(tmp_path / "gone.pdf")
    with pytest.raises(BadInput, match="folder"):
        read_document(tmp_path)
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(BadInput, match="no ordinary file"):
        read_document(tmp_path / "pipe.txt")


def test_a_file_beyond_measure_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(attachments, "MOST_BYTES", 100)
    monkeypatch.setattr(attachments, "_extracted", lambda file, name: pytest.fail("it was read"))
    with pytest.raises(BadInput, match="larger than"):
        read_document(written(tmp_path, "huge.txt", b"x" * 101))


# --- files made to do harm


def test_a_word_file_that_grows_beyond_measure_is_refused_unopened():
    bomb = zipped(word__document_xml=b" " * (extraction._MOST_UNPACKED_BYTES + 1))
    assert len(bomb) < 2**20
    assert extraction.extract(bomb).reason == "bomb"


WHOLE = [pdf_bytes(["Signed by both.", "The fee is 20."]), locked_pdf(["Readable"], ""), zipped(word__document_xml="<w>x</w>")]


@given(st.sampled_from(WHOLE), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=3)), max_size=8))
def test_whatever_a_file_holds_something_is_said_of_it(data, changes):
    damaged = bytearray(data)
    for share, piece in changes:
        at = int(share * len(damaged))
        damaged[at : at + len(piece)] = piece
    said = extraction.extract(bytes(damaged))
    assert said.reason or any(said.parts)
    assert extraction.Extracted.model_validate_json(said.model_dump_json()) == said


def test_a_page_that_cannot_be_read_is_not_called_a_scan(quick, tmp_path):
    with pytest.raises(BadInput, match="cannot be read: they are damaged, or grow beyond measure"):
        read_document(written(tmp_path, "bad.pdf", with_a_page_nobody_can_read(["Lost."])))
    read = read_document(written(tmp_path, "half.pdf", with_a_page_nobody_can_read(["Lost.", "Fine."])))
    assert read.parts == ("", "Fine.")
    assert read.note == "1 of 2 pages could not be read."


def test_entities_of_a_word_file_are_not_looked_up(tmp_path):
    (tmp_path / "secret").write_text("the house key")
    document = write_docx(tmp_path / "a.docx").read_bytes()
    lines = {"from outside": f'<!ENTITY e SYSTEM "file://{tmp_path / "secret"}">', "laughs": '<!ENTITY e "ha">'}
    for name, entity in lines.items():
        made = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(document)) as old, zipfile.ZipFile(made, "w") as new:
            for entry in old.infolist():
                data = old.read(entry)
                if entry.filename == "word/document.xml":
                    start = data.index(b"<w:document")
                    data = data[:start] + f"<!DOCTYPE x [{entity}]>".encode() + data[start:].replace(b"Returns", b"&e;")
                new.writestr(entry.filename, data)
        read = read_document(written(tmp_path, f"{name}.docx", made.getvalue()))
        assert "house key" not in read.parts[0]
        assert "broken blender" in read.parts[0]


def test_a_reader_that_takes_more_than_it_may_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(attachments, "CPU_LIMIT_S", -1.0)
    monkeypatch.setattr(attachments, "_LOOK_EVERY_S", 0.01)
    with pytest.raises(BadInput, match="too long or too much memory"):
        read_document(written(tmp_path, "a.pdf", pdf_bytes(["Hello"] * 200)))


def test_the_reader_holds_itself_to_its_limits(monkeypatch):
    asked = []
    monkeypatch.setattr(extraction, "limit_memory", lambda most: asked.append(most))
    monkeypatch.setattr(extraction, "limit_cpu", lambda seconds: asked.append(seconds))
    monkeypatch.setattr(extraction, "forbid_writing", lambda: asked.append("no files"))
    monkeypatch.setattr(extraction.offline, "begin", lambda: asked.append("no network"))
    monkeypatch.setattr(extraction.logging, "disable", lambda level: asked.append("quiet"))
    monkeypatch.setattr(extraction.sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Hello")))
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(extraction.sys, "stdout", out)
    extraction.main()
    assert asked == ["no network", extraction.MEMORY_BYTES, extraction.CPU_LIMIT_S, "no files", "quiet"]
    assert extraction.Extracted.model_validate_json(out.buffer.getvalue()).parts == ["Hello"]


def test_reading_ends_after_enough_pages_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(extraction, "MOST_PAGES", 2)
    read = extraction.extract(pdf_bytes(["One", "Two", "Three"]))
    assert (read.parts, read.total, read.cut) == (["One", "Two"], 3, True)
    assert attachments._note(read) == "Only the first 2 of 3 pages were read."


def test_a_long_text_is_read_from_its_beginning(monkeypatch):
    monkeypatch.setattr(extraction, "MOST_CHARS", 1000)
    read = extraction.extract(("Zeile für Zeile\n" * 900).encode())
    assert read.cut
    assert "".join(read.parts).startswith("Zeile für Zeile\nZeile")
    assert sum(map(len, read.parts)) <= 1000
    assert attachments._note(read) == "It is very long: only its beginning was read."


# --- what is sent


def test_pages_are_chosen_by_number():
    document = Document("a.pdf", 1, ("One", "Two", "Three"), "page", 3)
    assert choose_parts(document, "").chosen == (1, 2, 3)
    assert choose_parts(document, "2-").chosen == (2, 3)
    with pytest.raises(BadInput, match="no page 4"):
        choose_parts(document, "4")


def test_a_question_longer_than_can_be_kept_is_refused():
    document = Document("a.txt", 1, ("word " * 8000,))
    with pytest.raises(BadInput, match="can be kept"):
        prompt_with("Why?", [Attachment.whole(document)])
    assert prompt_with("Why?", []) == "Why?"


def test_how_much_a_model_reads_is_told_by_its_folder(tmp_path):
    base = ModelRef(name="m", path=str(tmp_path), hash="h")
    assert context_tokens(None) is None
    assert context_tokens(base) is None
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 2048}')
    assert context_tokens(base) == 2048
    (tmp_path / "config.json").write_text('{"text_config": {"max_position_embeddings": 4096}}')
    assert context_tokens(base) == 4096


def test_what_the_model_cannot_take_is_said_before_it_is_sent():
    assert room_beside_answer(None, 400) is None
    assert room_beside_answer(2048, 400, "Be kind.") == pytest.approx(1582, abs=5)
    assert fit_trouble("word " * 5000, None) is None
    assert fit_trouble("word " * 500, 1600) is None
    trouble = fit_trouble("word " * 5000, 1600)
    assert isinstance(trouble, AppError)
    assert trouble.message == "This is about 5,682 tokens, and the model takes 1,600 beside its answer."
