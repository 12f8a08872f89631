"""Small PDF and Word files, made where a test needs them."""

import io
from pathlib import Path

import docx
import pypdf


def pdf_bytes(pages: list[str]) -> bytes:
    """A PDF with one line of text a page; "" makes a page without text."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode())
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
    for number, text in enumerate(pages):
        said = text.encode("cp1252").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
        drawn = b"BT /F1 12 Tf 72 720 Td (" + said + b") Tj ET" if text else b"0 0 m 10 10 l S"
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * number} 0 R"
        objects.append(f"{page} /Resources << /Font << /F1 3 0 R >> >> >>".encode())
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn))
    return _file_of(objects)


def _file_of(objects: list[bytes]) -> bytes:
    made, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    made += b"".join(b"%010d 00000 n \n" % place for place in places)
    return bytes(made + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))


def locked_pdf(pages: list[str], password: str) -> bytes:
    """One that opens with a password only; with "" it opens, and may not be changed."""
    writer = pypdf.PdfWriter(clone_from=pypdf.PdfReader(io.BytesIO(pdf_bytes(pages))))
    writer.encrypt(password, owner_password="owner", algorithm="RC4-128")
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()


def write_docx(path: Path) -> Path:
    """A heading, a paragraph, a list, a table with a merged cell, a paragraph after it."""
    document = docx.Document()
    document.add_heading("Returns", 1)
    document.add_paragraph("A broken blender may be sent back within 30 days.")
    document.add_paragraph("Keep the receipt.", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    table.cell(0, 0).merge(table.cell(0, 1)).text = "Fees"
    table.cell(1, 0).text, table.cell(1, 1).text = "Postage", "4.90"
    document.add_paragraph("Written in March.")
    document.save(path)
    return path
