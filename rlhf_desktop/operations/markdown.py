"""Texts of models and colleagues in a Markdown file: they are shown as they are, and nothing in them acts."""


def as_cell(text: str) -> str:
    """A text in a table of the Markdown file."""
    return as_line(text).replace("|", "\\|")


def as_line(text: str) -> str:
    """On one line, and nothing in it acts as Markdown or HTML: models and colleagues write all sorts of things."""
    flat = " ".join(text.split())
    for special in ("\\", "`", "*", "_", "<", "[", "]", "#", "!"):
        flat = flat.replace(special, "\\" + special)
    return flat
