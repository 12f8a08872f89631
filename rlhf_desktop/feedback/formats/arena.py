"""Chatbot Arena battles: `conversation_a`, `conversation_b` and `winner`: model_a, model_b, tie, or "tie (bothbad)".

The same as a table (LMSYS's competition): `prompt`, `response_a`, `response_b`, each a JSON list of turns, and three columns of 0
and 1 for the winner. A battle whose two conversations part before their last answer compares no two answers to one prompt.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from rlhf_desktop.core.ids import new_id
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import Format, Record, assistant, chat_of, find, has, shared_prompt
from rlhf_desktop.feedback.formats.extras import with_system
from rlhf_desktop.feedback.formats.scales import whole_of
from rlhf_desktop.feedback.formats.thumbs import thumb_of
from rlhf_desktop.feedback.judgements import AllBad, Ranking, Verdict
from rlhf_desktop.feedback.rows import FeedbackRow, Unusable, annotator_of, row_of, text_of, who_of

_VERDICTS: dict[str, Verdict] = {
    "model_a": Ranking((1, 2)),
    "model_b": Ranking((2, 1)),
    "a": Ranking((1, 2)),
    "b": Ranking((2, 1)),
    "tie": Ranking((1, 1)),
    "tie (bothbad)": AllBad(),
    "tie_bothbad": AllBad(),
    "bothbad": AllBad(),
    "both_bad": AllBad(),
    "both bad": AllBad(),
}
_WINNER = {(1, 2): "model_a", (2, 1): "model_b", (1, 1): "tie"}


def fits(record: Record) -> float:
    """Two conversations and a winner."""
    return 1.0 if has(record, "conversation_a", "conversation_b", "winner") else 0.0


def read(record: Record, context: Context) -> Iterator[FeedbackRow]:
    """One battle."""
    verdict = _verdict(record)
    sides = [
        _until(chat_of(record[f"conversation_{side}"], f"conversation {side}", context=context), record.get("turn"))
        for side in "ab"
    ]
    prompt, texts = shared_prompt(sides[0], sides[1])
    yield row_of(with_system(record, prompt), texts, [verdict], who_of(record.get("judge")) or annotator_of(record))


def _until(messages: Messages, turn: Any) -> Messages:
    """The conversation up to the turn that was judged (MT-bench judges the first and the second by themselves)."""
    asked = [place for place, message in enumerate(messages) if message["role"] == "user"]
    number = whole_of(turn)
    return messages[: asked[number]] if number is not None and 0 < number < len(asked) else messages


def _verdict(record: Record) -> Verdict:
    """Who won: by its side, or by the name of a model that stands on one side only."""
    said = str(record["winner"]).strip()
    models = [str(record.get(f"model_{side}") or "").strip() for side in "ab"]
    if models.count(said) == 1:
        return Ranking((1, 2) if models[0] == said else (2, 1))
    verdict = _VERDICTS.get(said.casefold())
    if verdict is None:
        raise Unusable(f"the winner “{said[:40]}” is neither model_a, model_b nor a tie")
    return verdict


def write(row: FeedbackRow) -> Iterator[Record]:
    """A battle for each judgement of two answers."""
    if len(row.completions) != 2:
        return
    ranking = find(row, Ranking)
    winner = _WINNER[_dense(ranking)] if ranking else "tie (bothbad)" if find(row, AllBad) else ""
    if winner:
        yield {
            "question_id": new_id(),
            "model_a": "a",
            "model_b": "b",
            "winner": winner,
            "judge": row.annotator,
            "conversation_a": [*row.prompt, *assistant(row.completions[0])],
            "conversation_b": [*row.prompt, *assistant(row.completions[1])],
            "turn": sum(message["role"] == "user" for message in row.prompt),
        }


def _dense(ranking: Ranking) -> tuple[int, int]:
    first, second = ranking.ranks
    return (1 + (first > second), 1 + (second > first))


# --- as a table


def _table_fits(record: Record) -> float:
    return 1.0 if has(record, "prompt", "response_a", "response_b", "winner_model_a", "winner_model_b") else 0.0


def _read_table(record: Record, context: Context) -> Iterator[FeedbackRow]:  # noqa: ARG001
    """One battle; of several turns the last is compared, where the earlier answers are the same."""
    asked, first, second = (_turns(record[name], name) for name in ("prompt", "response_a", "response_b"))
    if not len(asked) == len(first) == len(second):
        raise Unusable("there are not as many answers as questions")
    sides = [_conversation(asked, answers) for answers in (first, second)]
    prompt, texts = shared_prompt(sides[0], sides[1])
    wins = [thumb_of(record.get(f"winner_{side}")) is True for side in ("model_a", "model_b", "tie")]
    if sum(wins) != 1:
        raise Unusable("the columns of the winner do not name just one")
    verdict = Ranking(((1, 2), (2, 1), (1, 1))[wins.index(True)])
    yield row_of(with_system(record, prompt), texts, [verdict], annotator_of(record))


def _turns(value: Any, what: str) -> list[str]:
    """The turns of one side, as a JSON list (in a table's cell, too) or one text."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    turns = value if isinstance(value, list) else [value]
    return [text_of(turn, what) for turn in turns]


def _conversation(asked: list[str], answers: list[str]) -> Messages:
    turns: Messages = []
    for question, answer in zip(asked, answers, strict=True):
        turns += [{"role": "user", "content": question}, *assistant(answer)]
    return turns


ARENA_TABLE = Format(
    "arena-table", "Arena battles as a table (LMSYS)", "prompt, response_a, response_b, winner_model_a, winner_model_b, winner_tie",
    _table_fits, _read_table,
)  # fmt: skip
ARENA = Format("arena", "Arena battles", "conversation_a, conversation_b, winner", fits, read, write)
