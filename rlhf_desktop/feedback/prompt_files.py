"""Files of prompts: JSON lines of `{"prompt": [messages] | "text"}` or plain JSON texts, a .txt with one a line, or a table.

Of a table the column called prompt is taken, else the one whose heading or contents say that it holds questions.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.columns import propose_columns
from rlhf_desktop.feedback.formats.containers import read_items
from rlhf_desktop.feedback.rows import MAX_TEXT_CHARS, Problem, Unusable, prompt_of, read_lines, read_objects

_TABLES = (".csv", ".tsv", ".tab", ".xlsx", ".parquet")


def read_prompts(path: Path) -> list[Messages]:
    """All prompts of a file, which is used whole or not at all.

    Raises:
        NotFound: there is no such file.
        BadInput: it is empty, or a line cannot be used: says which, why, and what to do.
    """
    try:
        read = {".txt": _from_text, **dict.fromkeys(_TABLES, _from_table)}.get(path.suffix.lower(), _from_json)
        prompts = list(read(path))
    except Unusable as reason:
        raise BadInput(f"{path.name}, {reason}.", _remedy(str(reason))) from None
    if not prompts:
        raise BadInput(f"{path.name} holds no prompts.", _remedy(""))
    return prompts


def _remedy(reason: str) -> str:
    if "characters; at most" in reason:
        return f"Shorten that prompt to {MAX_TEXT_CHARS:,} characters, or remove the line."
    if "none of its columns" in reason:
        return "Call the column with the prompts “prompt”."
    return 'Write one prompt a line, as {"prompt": "…"} in a .jsonl file or as plain text in a .txt file.'


def _from_json(path: Path) -> Iterator[Messages]:
    for number, value in read_objects(path):
        yield _prompt(number, value)


def _from_table(path: Path) -> Iterator[Messages]:
    items = list(read_items(path))
    records = [item.value for item in items if isinstance(item.value, dict)]
    names = list(dict.fromkeys(name for record in records for name in record))
    found = propose_columns("prompt-completion", names, records).get("prompt", "")
    if not found:
        raise Unusable(f"none of its columns says that it holds the prompts ({', '.join(names[:8])})")
    for item in items:
        value = item.value
        yield _prompt(item.number, value if isinstance(value, Problem) else {"prompt": value.get(found, "")})


def _from_text(path: Path) -> Iterator[Messages]:
    for number, line in read_lines(path):
        if isinstance(line, Problem) or line.strip():
            yield _prompt(number, line if isinstance(line, Problem) else line.strip())


def _prompt(number: int, value: Any) -> Messages:
    if isinstance(value, Problem):
        raise Unusable(f"line {number}: {value.reason}")
    if isinstance(value, dict) and "prompt" not in value:
        raise Unusable(f"line {number}: it has no “prompt”")
    try:
        return prompt_of(value["prompt"] if isinstance(value, dict) else value)
    except Unusable as reason:
        raise Unusable(f"line {number}: {reason}") from None
