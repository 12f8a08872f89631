"""Alpaca: `instruction`, `input` (may be empty) and `output`; also with `system`, `history`, and `chosen` beside `rejected`.

LLaMA-Factory's `kto_tag` beside them says whether the output is good.

Several turns fit through `history`, a list of [question, answer].
"""

from collections.abc import Iterator

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import Format, Record, compared, examples, has, preferences
from rlhf_desktop.feedback.formats.extras import answered, ranks_of, survey, with_system
from rlhf_desktop.feedback.rows import FeedbackRow, RankingRow, Unusable, annotator_of, prompt_of, text_of


def fits(record: Record) -> float:
    """An instruction with an output, or with two answers."""
    answered = "output" in record or has(record, "chosen", "rejected")
    return 1.0 if "instruction" in record and answered else 0.0


def read(record: Record, context: Context) -> Iterator[FeedbackRow]:
    """An example, a thumb (`kto_tag`), or a comparison."""
    prompt = _prompt(record)
    if has(record, "chosen", "rejected"):
        prompt, texts = compared(prompt, record["chosen"], record["rejected"], context)
        yield RankingRow(with_system(record, prompt), texts, ranks_of(record, context), annotator_of(record))
        if record.get("output"):
            context.note("The column “output” beside chosen and rejected is left out")
    else:
        yield answered(record, prompt, text_of(record["output"], "output"), context)


def _prompt(record: Record) -> Messages:
    messages: Messages = []
    for turn in record.get("history") or []:
        if not isinstance(turn, list) or len(turn) != 2:
            raise Unusable("the history is not a list of [question, answer]")
        messages.append({"role": "user", "content": text_of(turn[0], "question")})
        messages.append({"role": "assistant", "content": text_of(turn[1], "answer")})
    asked = text_of(record["instruction"], "instruction")
    if record.get("input"):
        asked += "\n" + text_of(record["input"], "input")
    return prompt_of([*messages, {"role": "user", "content": asked}])


def write(row: FeedbackRow) -> Iterator[Record]:
    """A record for each example and each pair with a winner, where the turns alternate as the format's must."""
    frame = _frame(row.prompt)
    if frame is None:
        return
    for text in examples(row):
        yield {**frame, "output": text}
    for chosen, rejected in preferences(row):
        yield {**frame, "chosen": chosen, "rejected": rejected}


def _frame(prompt: Messages) -> Record | None:
    system = prompt[0]["content"] if prompt[0]["role"] == "system" else ""
    turns = prompt[1:] if system else prompt
    if [m["role"] for m in turns] != ["user", "assistant"] * (len(turns) // 2) + ["user"]:
        return None
    record: Record = {"instruction": turns[-1]["content"], "input": ""}
    if system:
        record["system"] = system
    if len(turns) > 1:
        texts = [message["content"] for message in turns[:-1]]
        record["history"] = [list(pair) for pair in zip(texts[::2], texts[1::2], strict=True)]
    return record


ALPACA = Format(
    "alpaca", "Alpaca", "instruction, input, output", fits, read, write,
    ("instruction", "input", "output", "chosen", "rejected", "system", "label"), listed=True,
    survey=survey,
)  # fmt: skip
