"""`worker check`: a model's template and end of turn, and the tokens of some feedback. Reads JSON on stdin, loads no weights."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from transformers import GenerationConfig

from rlhf_desktop.core.errors import AppError, ModelTrouble
from rlhf_desktop.core.measures import CheckRequest, ModelCheck, RowSize, TextRow
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.inference.chat_text import render, thinking_of, writes_end
from rlhf_desktop.inference.model import find_end_ids, find_pad_id, load_tokenizer
from rlhf_desktop.inference.template import completion_ids, is_prefix_stable, last_turn, prompt_ids
from rlhf_desktop.worker.answer import answer

_QUESTION: Messages = [{"role": "user", "content": "Where is my parcel?"}]
_SYSTEM: Messages = [{"role": "system", "content": "Be kind."}, *_QUESTION]
_ANSWER = "It is on its way."


def main(argv: Sequence[str], out: BinaryIO) -> int:  # noqa: ARG001 - all jobs are called alike
    """Check, and write the facts or the trouble."""
    return answer(out, lambda: check(CheckRequest.model_validate_json(sys.stdin.buffer.read())).model_dump(mode="json"))


def check(request: CheckRequest) -> ModelCheck:
    """Look at the tokenizer and its template with a small conversation, then measure the rows.

    Raises:
        ModelTrouble: the tokenizer cannot be read.
    """
    folder = Path(request.base.path)
    tokenizer = load_tokenizer(folder, request.base.name)
    trouble, system_trouble = _refusal(tokenizer, _QUESTION), _refusal(tokenizer, _SYSTEM)
    if trouble:
        return ModelCheck(has_template=True, template_trouble=trouble, system_trouble=system_trouble)
    end_ids = find_end_ids(tokenizer, _generation_config(folder))
    return ModelCheck(
        has_template=bool(tokenizer.chat_template),
        system_trouble=system_trouble,
        thinking=thinking_of(tokenizer).kind,
        prefix_stable=is_prefix_stable(tokenizer, _QUESTION, _ANSWER),
        end_token=str(tokenizer.convert_ids_to_tokens(end_ids[0])) if end_ids else "",
        end_is_trained=bool(end_ids) and _ends(tokenizer, end_ids),
        sizes=[_size(tokenizer, row, end_ids[0] if end_ids else None) for row in request.rows],
    )


def _generation_config(folder: Path) -> Any:
    return GenerationConfig.from_pretrained(folder) if (folder / "generation_config.json").is_file() else None


def _refusal(tokenizer: Any, messages: Messages) -> str:
    try:
        render(tokenizer, messages)
    except AppError as problem:
        return problem.message
    return ""


def _ends(tokenizer: Any, end_ids: tuple[int, ...]) -> bool:
    """Whether an answer is learned with its end, and the template means the same token by it."""
    end = end_ids[0]
    learned = completion_ids(tokenizer, _ANSWER, end)[-1] == end != find_pad_id(tokenizer, end_ids)
    return learned and (not tokenizer.chat_template or bool(writes_end(tokenizer, [tokenizer.convert_ids_to_tokens(end)])[1]))


def _size(tokenizer: Any, row: TextRow, end_id: int | None) -> RowSize:
    try:
        prompt, question = (len(prompt_ids(tokenizer, messages)) for messages in (row.prompt, last_turn(row.prompt)))
    except ModelTrouble as problem:
        return RowSize(prompt=0, answers=[], trouble=problem.message)
    answers = [len(completion_ids(tokenizer, text, end_id)) for text in row.answers]
    return RowSize(prompt=prompt, question=question, answers=answers)
