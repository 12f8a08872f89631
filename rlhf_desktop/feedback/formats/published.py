"""Data sets that many people publish their models with, read from the columns their cards describe.

Read only: HelpSteer 1 to 3 (NVIDIA), PKU-SafeRLHF, SHP (Stanford), Nectar (Berkeley), WildChat and LMSYS-Chat-1M. What each column
becomes is said in the guide (feedback_files.md). UltraFeedback's raw form is in `ultrafeedback`, LMSYS's comparisons in `arena`,
flat OpenAssistant messages in `oasst`.
"""

import re
from collections.abc import Iterator
from typing import Any

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import Format, Record, chat_of, has
from rlhf_desktop.feedback.formats.extras import survey, with_system
from rlhf_desktop.feedback.formats.hh import hh_prompt
from rlhf_desktop.feedback.formats.scales import Scale, number_of, whole_of
from rlhf_desktop.feedback.formats.thumbs import thumb_of
from rlhf_desktop.feedback.formats.trl import conversation
from rlhf_desktop.feedback.judgements import Choice, Correction, Labels, Ranking, Rating, Ratings, Verdict, dense
from rlhf_desktop.feedback.rankings import rank_of
from rlhf_desktop.feedback.rows import FeedbackRow, RankingRow, Unusable, annotator_of, prompt_of, row_of, text_of

# --- HelpSteer

_GOOD_WHEN_HIGH = ("helpfulness", "correctness", "coherence")
_NEITHER = ("complexity", "verbosity")  # more of it is not better: labels
_STEPS = Scale(0, 4)
_EDITS = ("good_edited_response", "bad_edited_response")
_TURN = re.compile(r"\n?<extra_id_1>(User|Assistant)\n")


def _helpsteer_fits(record: Record) -> float:
    marked = has(record, "prompt", "response") and any(name in record for name in _GOOD_WHEN_HIGH)
    compared = has(record, "prompt", "response_1", "response_2", "preference_strength")
    third = has(record, "context", "response1", "response2", "overall_preference")
    edited = has(record, "context", "original_response", "edited_response") or has(record, "context", *_EDITS)
    return 1.0 if marked or compared or third or edited else 0.0


def _read_helpsteer(record: Record, context: Context) -> Iterator[FeedbackRow]:
    """Marks of one answer, a comparison with its strength, or an answer put right."""
    prompt = _helpsteer_prompt(record.get("context", record.get("prompt")), context)
    if "overall_preference" in record:
        yield _helpsteer_pair(record, prompt, ("response1", "response2"), record["overall_preference"], _reasons(record))
    elif "preference_strength" in record:
        said = [record.get(name) for name in ("preference_statement", "preference_elaboration")]
        why = [text for text in said if isinstance(text, str) and text.strip()]
        yield _helpsteer_pair(record, prompt, ("response_1", "response_2"), record["preference_strength"], why)
    elif "good_edited_response" in record:
        yield RankingRow(prompt, (text_of(record[_EDITS[0]], "good edit"), text_of(record[_EDITS[1]], "bad edit")), (1, 2))
    elif "edited_response" in record:
        texts = [text_of(record["original_response"], "original response")]
        right = Correction(text_of(record["edited_response"], "edited response"))
        why = [text for text in [record.get("change_summary")] if isinstance(text, str)]
        yield row_of(prompt, texts, [right], annotator_of(record), critique="\n".join(why))
    else:
        yield row_of(prompt, [text_of(record["response"], "response")], list(_helpsteer_marks(record)), annotator_of(record))


def _helpsteer_prompt(value: Any, context: Context) -> Messages:
    """A text in which later turns stand after <extra_id_1>User and <extra_id_1>Assistant, or a list of messages."""
    if not isinstance(value, str):
        return prompt_of(chat_of(value, "context", context=context))
    parts = _TURN.split(value)
    messages: Messages = [{"role": "user", "content": text_of(parts[0], "prompt")}]
    for speaker, text in zip(parts[1::2], parts[2::2], strict=True):
        messages.append({"role": "user" if speaker == "User" else "assistant", "content": text_of(text, "prompt")})
    return prompt_of(messages)


def _helpsteer_pair(record: Record, prompt: Messages, names: tuple[str, str], value: Any, why: list[str]) -> FeedbackRow:
    """-3 is “the first is much better”, 0 “about the same”, 3 “the second is much better”."""
    strength = whole_of(value)
    if strength is None or not -3 <= strength <= 3:
        raise Unusable(f"the preference {str(value)[:20]} is not a whole number from -3 to 3")
    ranks = (1, 1) if strength == 0 else (1, 2) if strength < 0 else (2, 1)
    texts = [text_of(record[name], name) for name in names]
    verdict = Ranking(ranks, abs(strength) or None)
    return row_of(prompt, texts, [verdict], annotator_of(record), critique="\n".join(why))


def _reasons(record: Record) -> list[str]:
    single = record.get("individual_preference")
    given = [one.get("reasoning") for one in single if isinstance(one, dict)] if isinstance(single, list) else []
    return [text for text in given if isinstance(text, str) and text.strip()]


def _helpsteer_marks(record: Record) -> Iterator[Verdict]:
    numbers = {name: number_of(record.get(name)) for name in (*_GOOD_WHEN_HIGH, *_NEITHER)}
    marks = [Rating(n, 5, (_STEPS.level(m),)) for n in _GOOD_WHEN_HIGH if (m := numbers[n]) is not None]
    kinds = [Choice(n, ((f"{m:g} of 4",),)) for n in _NEITHER if (m := numbers[n]) is not None]
    if marks:
        yield Ratings(tuple(marks))
    if kinds:
        yield Labels(tuple(kinds))


# --- PKU-SafeRLHF


def _pku_fits(record: Record) -> float:
    told = "better_response_id" in record or "safer_response_id" in record
    return 1.0 if told and has(record, "prompt", "response_0", "response_1") else 0.0


def _read_pku(record: Record, context: Context) -> Iterator[FeedbackRow]:  # noqa: ARG001
    """Which answer is more helpful, and which is safer: a ranking, and marks for safety."""
    texts = [text_of(record[f"response_{side}"], f"response {side}") for side in (0, 1)]
    verdicts: list[Verdict] = []
    better, safer = (_side(record, f"{what}_response_id") for what in ("better", "safer"))
    if better is not None:
        verdicts.append(Ranking((1, 2) if better == 0 else (2, 1)))
    if safer is not None:
        verdicts.append(Ratings((Rating("safety", 2, (2, 1) if safer == 0 else (1, 2)),)))
    labels = [choice for choice in (_safe(record), _harms(record)) if any(choice.chosen)]
    verdicts += [Labels(tuple(labels))] if labels else []
    yield row_of(with_system(record, prompt_of(record["prompt"])), texts, verdicts, annotator_of(record))


def _side(record: Record, name: str) -> int | None:
    if record.get(name) is None:
        return None
    side = whole_of(record[name])
    if side not in (0, 1):
        raise Unusable(f"{name} is neither 0 nor 1")
    return side


def _safe(record: Record) -> Choice:
    told = [thumb_of(record.get(f"is_response_{side}_safe")) for side in (0, 1)]
    return Choice("safe", tuple(() if safe is None else ("yes",) if safe else ("no",) for safe in told))


def _harms(record: Record) -> Choice:
    given = [record.get(f"response_{side}_harm_category") for side in (0, 1)]
    named = [[str(k)[:80] for k, v in one.items() if v is True] if isinstance(one, dict) else [] for one in given]
    return Choice("harm", tuple(tuple(names) for names in named))


# --- SHP


def _shp_fits(record: Record) -> float:
    return 1.0 if has(record, "history", "human_ref_A", "human_ref_B", "labels") else 0.0


def _read_shp(record: Record, context: Context) -> Iterator[FeedbackRow]:  # noqa: ARG001
    """Two comments under one post; labels is 1 where A was liked more."""
    label = thumb_of(record["labels"])
    if label is None:
        raise Unusable("the label is neither 1 (A is better) nor 0 (B is)")
    texts = (text_of(record["human_ref_A"], "answer A"), text_of(record["human_ref_B"], "answer B"))
    yield RankingRow(prompt_of(record["history"]), texts, (1, 2) if label else (2, 1), annotator_of(record))


# --- Nectar


def _nectar_fits(record: Record) -> float:
    answers = record.get("answers")
    first = answers[0] if isinstance(answers, list) and answers else None
    return 1.0 if "prompt" in record and isinstance(first, dict) and has(first, "answer", "rank") else 0.0


def _read_nectar(record: Record, context: Context) -> Iterator[FeedbackRow]:  # noqa: ARG001
    """Up to seven answers with ranks, 1 the best, to a transcript that ends with “Assistant:”."""
    prompt = prompt_of(hh_prompt(record["prompt"]))
    texts = [text_of(one.get("answer"), "answer") for one in record["answers"]]
    ranks = dense([rank_of(one.get("rank")) for one in record["answers"]])
    yield row_of(with_system(record, prompt), texts, [Ranking(ranks)], annotator_of(record))


# --- WildChat, LMSYS-Chat-1M


def _chat_fits(record: Record) -> float:
    turns = record.get("conversation")
    told = isinstance(turns, list) and turns and isinstance(turns[0], dict) and has(turns[0], "role", "content")
    return 0.9 if told and not has(record, "chosen", "rejected") else 0.0


def _read_chat(record: Record, context: Context) -> Iterator[FeedbackRow]:
    """A conversation as it was had: an example, unless it is marked as toxic."""
    turns = record["conversation"]
    if thumb_of(record.get("toxic")) or any(isinstance(turn, dict) and thumb_of(turn.get("toxic")) for turn in turns):
        raise Unusable("the conversation is marked as toxic")
    yield from conversation(record, turns, context)


HELPSTEER = Format(
    "helpsteer", "HelpSteer 1, 2 and 3", "prompt, response, helpfulness, …; or two responses with a preference from -3 to 3",
    _helpsteer_fits, _read_helpsteer,
)  # fmt: skip
SAFE_RLHF = Format(
    "safe-rlhf", "PKU-SafeRLHF", "prompt, response_0, response_1, better_response_id, safer_response_id", _pku_fits, _read_pku
)
SHP = Format("shp", "SHP", "history, human_ref_A, human_ref_B, labels", _shp_fits, _read_shp)
NECTAR = Format("nectar", "Nectar", "prompt, answers with answer and rank", _nectar_fits, _read_nectar)
CHATS = Format("chats", "WildChat, LMSYS-Chat-1M", "conversation with role and content", _chat_fits, _read_chat, survey=survey)
