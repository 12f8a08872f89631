"""Chatbot Arena battles: `conversation_a`, `conversation_b` and `winner`: model_a, model_b, tie, or "tie (bothbad)".

A battle whose two conversations part before their last answer compares no two answers to one prompt.
"""

from collections.abc import Iterator

from rlhf_desktop.core.ids import new_id
from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import Format, Record, assistant, chat_of, find, has, shared_prompt
from rlhf_desktop.feedback.formats.extras import with_system
from rlhf_desktop.feedback.judgements import AllBad, Ranking, Verdict
from rlhf_desktop.feedback.rows import FeedbackRow, Unusable, annotator_of, row_of, who_of

_VERDICTS: dict[str, Verdict] = {
    "model_a": Ranking((1, 2)),
    "model_b": Ranking((2, 1)),
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
    verdict = _VERDICTS.get(str(record["winner"]).strip().casefold())
    if verdict is None:
        raise Unusable(f"the winner “{str(record['winner'])[:40]}” is neither model_a, model_b nor a tie")
    sides = [chat_of(record[f"conversation_{side}"], f"conversation {side}", context=context) for side in "ab"]
    prompt, texts = shared_prompt(sides[0], sides[1])
    yield row_of(with_system(record, prompt), texts, [verdict], who_of(record.get("judge")) or annotator_of(record))


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


ARENA = Format("arena", "Arena battles", "conversation_a, conversation_b, winner", fits, read, write)
