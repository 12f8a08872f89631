"""The guide's page on families, made from the table that the tests here hold to: `python -m tests.families.guide` writes it."""

from rlhf_desktop.core.families import CHATS, REFUSED, TRAINS
from rlhf_desktop.core.paths import resources_dir
from tests.families.table import MODELS

PAGE = "families.md"
_HEAD = """\
# Which models can be chatted with and taught

What a model is called matters less than its *family*: the `model_type` in its `config.json`. The program looks at it before
anything is downloaded (a search on the Hub says it of each result), and tries a small copy of the model once when you add it: some
seconds, in which it chats, learns a step, forgets it again and is written out, each compared with the library that everybody uses
(transformers). What came of it is kept with the model, and found out again when the program or the model changes.

![Models found on the Hub: whether each can be taught, and whether it fits](pictures/families.png)

* **can be taught**: all ways of training work, and what they make answers the same elsewhere.
* **chats only**: it answers as it should, and training is refused with the reason.
* **cannot be used**: refused when you add it, with the reason.
* **not known yet**: a family that is in no table here. It is tried when it is added, and then it is one of the above.

Models that see or hear as well (Gemma 3, Qwen2.5-VL, Mistral Small 3 …) are used by their language part: text in, text out.
Whatever the family: a model whose files hold no head that writes words (for searching, sorting or scoring), one that needs code of
its own, and one whose weights are quantised in a form that cannot be taught (FP8, AWQ, GPTQ …) are refused; take its unquantised
files.

"""


def page() -> str:
    """The whole page."""
    trains = [(f"`{family}`", MODELS.get(family, "")) for family in sorted(TRAINS)]
    chats = [(f"`{family}`", reason) for family, reason in sorted(CHATS.items())]
    by_reason: dict[str, list[str]] = {}
    for family, reason in REFUSED.items():
        by_reason.setdefault(reason, []).append(f"`{family}`")
    refused = [(reason, ", ".join(sorted(families))) for reason, families in by_reason.items()]
    parts = [
        _table(f"Can be taught: {len(trains)} families", ("family", "for example"), trains),
        _table("Chats only", ("family", "why"), chats),
        _table("Cannot be used", ("why", "families"), refused),
    ]
    return _HEAD + "\n".join(part for part in parts if part)


def _table(title: str, head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    lines = [f"| {left} | {right} |" for left, right in [head, ("---", "---"), *rows]]
    return f"## {title}\n\n" + "\n".join(lines) + "\n" if rows else ""


if __name__ == "__main__":
    (resources_dir() / "guide" / PAGE).write_text(page(), "utf-8")
