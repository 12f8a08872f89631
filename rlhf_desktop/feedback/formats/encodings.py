"""Which letters the bytes of a text file mean: its mark, else UTF-8 if it is that throughout, else the likeliest code page.

Whatever is chosen decodes every byte of what was looked at. A text that no encoding explains is refused rather than read with
letters missing.
"""

import codecs
import tempfile
from collections.abc import Callable
from itertools import combinations
from typing import IO, BinaryIO, cast

from charset_normalizer import from_bytes

from rlhf_desktop.core.errors import BadInput

UTF8 = "utf-8"
_MARKS = (  # the longer ones first: UTF-32's begins like UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CODE_PAGES = (
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "koi8_r", "mac_roman", "cp850",
    "cp852", "cp866", "cp932", "euc_jp", "gb18030", "big5", "cp949",
)  # fmt: skip
_NAMES = {
    "utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "utf-32": "UTF-32", "cp1252": "Windows-1252 (Western Europe)",
    "cp1250": "Windows-1250 (Central Europe)", "cp1251": "Windows-1251 (Cyrillic)", "cp1253": "Windows-1253 (Greek)",
    "cp1254": "Windows-1254 (Turkish)", "cp1255": "Windows-1255 (Hebrew)", "cp1256": "Windows-1256 (Arabic)",
    "cp1257": "Windows-1257 (Baltic)", "cp932": "Shift JIS (Japanese)", "gb18030": "GB 18030 (Chinese)", "big5": "Big5 (Chinese)",
    "cp949": "the Korean code page 949", "mac_roman": "Mac Roman", "koi8_r": "KOI8-R (Cyrillic)",
}  # fmt: skip
_ALPHABETS = {  # the letters beyond ASCII of languages written in each Latin code page
    "cp1252": "àâæçéèêëîïôœùûüÿ äöüßéàè áéíñóúüªº àáâãçéêíóôõúü àèéìíîòóùú éèëïóöüá åäöéüà æøåéòôê áðéíóúýþæö äöõüšž",
    "cp1250": "ąćęłńóśźż áčďéěíňóřšťúůýž áäčďéíĺľňóôŕšťúýž áéíóöőúüű âăîşţ čćđšž äöüßé",
    "cp1254": "çğıi̇öşüâîû",
    "cp1257": "ąčęėįšųūž āčēģīķļņšūž äöõüšž",
}
_CLOSE = 0.06  # in the measure of disorder of charset-normalizer
_TWO_LANGUAGES = 0.75  # of the letters beyond ASCII
_LINE_BYTES = 2**16
_SAMPLE_BYTES = 2**17  # of lines with other letters, from which a code page is guessed
_HEAD_BYTES = 4096
_CHUNK_CHARS = 2**16


def encoding_of(open_file: Callable[[], BinaryIO], name: str) -> str:
    """The encoding of a text file, which is read through to its end if it has no mark.

    Raises:
        BadInput: no encoding explains all its bytes.
    """
    with open_file() as file:
        head = file.read(_HEAD_BYTES)
    marked = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), "") or _wide(head)
    if marked:
        return marked
    with open_file() as file:
        sample = _other_lines(file)
    return _code_page(sample, name) if sample else UTF8


def said(encoding: str) -> str:
    """Its name for a reader; "" for UTF-8, of which there is nothing to say."""
    return "" if encoding in (UTF8, "utf-8-sig") else _NAMES.get(encoding, encoding)


def as_utf8(file: BinaryIO, encoding: str, name: str) -> BinaryIO:
    """The same text as a UTF-8 file.

    Raises:
        BadInput: it is damaged.
    """
    made = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - closed by whoever reads it
    try:
        for piece in codecs.iterdecode(iter(lambda: file.read(_CHUNK_CHARS), b""), encoding):
            made.write(piece.encode("utf-8", "replace"))
    except UnicodeError as problem:
        made.close()
        raise BadInput(f"{name} is damaged: it is not {said(encoding)} throughout.", "Save it again as UTF-8.") from problem
    made.seek(0)
    return made


def _wide(head: bytes) -> str:
    """UTF-16 without a mark: every other byte of plain letters is zero."""
    pairs = max(1, len(head) // 2)
    even, odd = head[0::2].count(0) / pairs, head[1::2].count(0) / pairs
    if max(even, odd) < 0.4 or min(even, odd) > 0.1:
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def _other_lines(file: IO[bytes]) -> bytes:
    """Lines that are not UTF-8, if the file is not mostly UTF-8."""
    sample, utf8_lines, other_lines = bytearray(), 0, 0
    while line := _line(file):
        if line.isascii():
            continue
        if _is_utf8(line):
            utf8_lines += 1
            continue
        other_lines += 1
        if len(sample) < _SAMPLE_BYTES:
            sample += line
    return b"" if utf8_lines > other_lines else bytes(sample)


def _line(file: IO[bytes]) -> bytes:
    """A line, or as much of an endless one as ends with a whole character."""
    line = file.readline(_LINE_BYTES)
    while line and line[-1] > 0x7F and len(line) < _LINE_BYTES + 8:
        more = file.read(1)
        line += more
        if not more:
            break
    return line


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode(UTF8)
    except UnicodeDecodeError:
        return False
    return True


def _code_page(sample: bytes, name: str) -> str:
    """The likeliest code page. Several fit most Latin texts; of those the one counts whose letters languages use together."""
    found = list(from_bytes(sample, cp_isolation=list(_CODE_PAGES), enable_fallback=False, preemptive_behaviour=False))
    if not found:
        raise BadInput(f"The letters of {name} are in no encoding that is known.", "Save it as UTF-8 (in Excel: CSV UTF-8).")
    close = [match for match in found if match.chaos <= found[0].chaos + _CLOSE]
    pages = {page for match in close for page in (match.encoding, *match.could_be_from_charset)}
    latin = max((page for page in _ALPHABETS if page in pages), key=lambda page: _use(sample, page), default="")
    if latin and _use(sample, latin)[0] >= _TWO_LANGUAGES:
        return latin
    unknown = not any(match.coherence for match in close)  # Hebrew read as Cyrillic is of no language that writes Cyrillic
    return "cp1255" if unknown and "cp1255" in pages else str(found[0].encoding)


def _use(sample: bytes, page: str) -> tuple[float, float]:
    """The shares of the letters beyond ASCII that two languages of a code page use together, and that one of them does."""
    try:
        letters = [letter for letter in sample.decode(page).lower() if letter.isalpha() and not letter.isascii()]
    except UnicodeDecodeError:
        return 0.0, 0.0
    alphabets = _ALPHABETS[page].split() if letters else []
    single = max((_share(letters, alphabet) for alphabet in alphabets), default=1.0)
    return max((_share(letters, a + b) for a, b in combinations(alphabets, 2)), default=single), single


def _share(letters: list[str], alphabet: str) -> float:
    return round(sum(letter in alphabet for letter in letters) / len(letters), 2)
