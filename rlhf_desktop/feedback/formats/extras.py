"""What stands beside the texts of a record: a system message, a word on whether the answer is good, scores of two answers."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.formats.asking import Context, Question
from rlhf_desktop.feedback.formats.base import SYSTEM_NAMES, Record, as_words
from rlhf_desktop.feedback.formats.scales import Scale, either_way, is_scale, number_of, scale_of, scales_with, told_by
from rlhf_desktop.feedback.formats.suspects import IGNORE, PLAIN_WORDS, ask_meaning, survey_suspects, suspects, word_of
from rlhf_desktop.feedback.formats.thumbs import DENIES, MARKS, REMARKS, SAYS, STARS, is_nothing, may_be_unjudged, thumb_of
from rlhf_desktop.feedback.judgements import Rating, Ratings, Thumbs, Verdict
from rlhf_desktop.feedback.rows import DemonstrationRow, FeedbackRow, Unusable, annotator_of, row_of, text_of
from rlhf_desktop.feedback.verdicts import MAX_LEVELS

_MAY_SAY = (*STARS, *REMARKS, *MARKS)
_READ = frozenset((*SYSTEM_NAMES, *SAYS, *DENIES, *_MAY_SAY, "weight"))


def with_system(record: Record, prompt: Messages) -> Messages:
    """The prompt with the record's system message, where it has one in a column of its own."""
    given = next((value for name, value in _words(record) if name in SYSTEM_NAMES and value), None)
    if given is None:
        return prompt
    text, first = text_of(given, "system message"), prompt[0]
    if first["role"] != "system":
        return [{"role": "system", "content": text}, *prompt]
    if text.strip() in first["content"]:
        return prompt
    return [{"role": "system", "content": f"{text}\n\n{first['content']}"}, *prompt[1:]]


def _words(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each column's name as words, lower case ("ktoTag", "kto-tag" and "KTO_TAG" are "kto tag"), with its value."""
    for name in list(record):
        words = as_words(str(name))
        nested = words not in SYSTEM_NAMES and isinstance(record, dict) and isinstance(dict.get(record, name), dict | list)
        if not nested and words in _READ:
            yield words, record[name]


# --- good or bad

_LEARNED = ("weight", "train", "training", "trainable", "learn", "loss", "loss weight", "loss mask")
_MASKED = ("mask", "masked", "ignore loss")
_OUT = (
    "deleted", "is deleted", "discarded", "excluded", "exclude", "skip", "skipped", "ignored", "removed", "hidden", "flagged",
    "toxic", "is toxic", "spam", "is spam",
)  # fmt: skip


def learned(turn: Any) -> bool | None:
    """Whether a message says that it is to be learned (OpenAI's `weight`, Axolotl's `train`, …); None where it says nothing."""
    for name, value in turn.items() if isinstance(turn, dict) else ():
        words, number = as_words(str(name)), number_of(value) if not isinstance(value, bool) else float(value)
        if number is None:
            number = {True: 1.0, False: 0.0, None: None}[thumb_of(value)]
        if words in _LEARNED and number is not None:
            return number > 0
        if words in _MASKED and number is not None:
            return number == 0
    return None


def check_kept(record: Mapping[str, Any]) -> None:
    """Refuse a record that was deleted, discarded or left out where it comes from.

    Raises:
        Unusable: it says so.
    """
    for name in list(record):
        if as_words(str(name)) in _OUT and thumb_of(record[name]):
            raise Unusable(f"it is marked as “{str(name)[:40]}”")
    moderation = record.get("openai_moderation")
    if isinstance(moderation, list) and any(isinstance(one, dict) and one.get("flagged") is True for one in moderation):
        raise Unusable("it is flagged by moderation")


def answered(record: Record, prompt: Messages, text: str, context: Context, message: Any = None) -> FeedbackRow:
    """An answer with what the record (or the answer's own message) says of it; an example to imitate where nothing is said."""
    for holder in (record, message if isinstance(message, dict) else {}):
        check_kept(holder)
    if learned(message) is False:
        raise Unusable("its weight is 0: it is not to be learned from")
    said = list(_verdicts(record, context))
    if isinstance(message, dict):
        said += _verdicts(message, context)
    if not said:
        if not learned(message):
            check_judged(record, context)
        said = [*_suspected(record, context), *(_suspected(message, context) if isinstance(message, dict) else ())]
    prompt = with_system(record, prompt)
    if not said:
        return DemonstrationRow(prompt, text, annotator_of(record))
    thumbs = {verdict for verdict in said if isinstance(verdict, Thumbs)}
    denied = [thumb_of(value) for words, value in _words(record) if words in DENIES]
    if thumbs == {Thumbs(False)} and denied == [False]:  # neither the one column nor its opposite
        raise Unusable("nobody has said whether the answer is good")
    if len(thumbs) > 1:
        raise Unusable("one column says that the answer is good, another that it is not")
    return row_of(prompt, [text], [*thumbs, *_together(said)], annotator_of(record))


def _together(said: list[Verdict]) -> Iterator[Verdict]:
    marks = {rating.attribute: rating for verdict in said if isinstance(verdict, Ratings) for rating in verdict.ratings}
    if marks:
        yield Ratings(tuple(marks.values()))


def check_judged(record: Record, context: Context) -> None:
    """Refuse an answer whose mark is empty where the others of its kind in the file have one.

    Raises:
        Unusable: it is no example just because nobody judged it.
    """
    for name in list(record):
        words = as_words(str(name))
        if not may_be_unjudged(words) or not is_nothing(dict.get(record, name)):
            continue
        if context.values(f"={words} of {_shape(record)}") and context.answers.get(words.replace(" ", "_")) != IGNORE[0]:
            raise Unusable(f"nobody has said how good the answer is: its “{words}” is empty, and that of other rows is not")


def _shape(record: Record) -> str:
    names = ("messages", "conversations", "conversation", "completion", "output")
    return " ".join(name for name in names if dict.__contains__(record, name))


_KNOWN = frozenset(("role", "content", "from", "value", *_OUT))


def _suspected(record: Mapping[str, Any], context: Context) -> Iterator[Verdict]:
    """What columns say that no reader knows, once somebody has told what they mean."""
    known: dict[str, Verdict] = {}
    for words, value in suspects(record, context, _KNOWN):
        if is_nothing(value):
            raise Unusable(f"“{words[:40]}” does not say whether the answer is good")
        verdict = _meant(words, value, context)
        if verdict and known.setdefault(words, verdict) != verdict:
            raise Unusable(f"those who judged it do not agree (“{words[:40]}”)")
    yield from known.values()


def _meant(words: str, value: Any, context: Context) -> Verdict | None:
    up, said = thumb_of(value), word_of(value)
    if up is not None and (said in PLAIN_WORDS or words in SAYS) and words.replace(" ", "_") not in context.answers:
        return Thumbs(up)
    given = ask_meaning(words, value, context)
    if given == IGNORE[0]:
        return None
    number = number_of(value)
    if number is not None and is_scale(given):
        return Ratings((mark(words, number, scale_of(given), context),))
    wanted = {word_of(part) for part in given.split(",")}
    return Thumbs(said in wanted or (number is not None and number in {number_of(part) for part in wanted}))


def survey(record: Record, context: Context) -> None:
    """Note what the columns that may say good or bad hold, in the whole file."""
    for holder in _holders(record):
        survey_suspects(holder, context)
        for words, value in _words(holder):
            if holder is record and not is_nothing(value) and may_be_unjudged(words):
                context.saw(f"={words} of {_shape(record)}", True)
            if isinstance(value, str | int | float) and words not in SYSTEM_NAMES:
                context.saw(f"={words}", str(value).strip().casefold()[:40] if number_of(value) is None else number_of(value))


def _holders(record: Record) -> Iterator[Mapping[str, Any]]:
    yield record
    for name in ("messages", "conversations", "conversation", "completion"):
        turns = record.get(name)
        if isinstance(turns, list):
            yield from (turn for turn in turns if isinstance(turn, dict))


def judges(turn: Any, context: Context) -> bool:
    """Whether something beside a message's text says how good it is."""
    if not isinstance(turn, dict):
        return False
    said = any(words not in (*SYSTEM_NAMES, "weight") and not is_nothing(value) for words, value in _words(turn))
    return said or any(True for _ in suspects(turn, context, _KNOWN))


def _verdicts(record: Mapping[str, Any], context: Context) -> Iterator[Verdict]:
    for words, value in _words(record):
        if words in SYSTEM_NAMES or (is_nothing(value) and not _means_minus(words, context)):
            continue
        if words == "weight":
            if number_of(value) == 0:
                raise Unusable("its weight is 0: it is not to be learned from")
            if number_of(value) != 1:
                context.note("Weights are left out: every row counts alike")
            continue
        verdict = _verdict(words, value, context, _declared(record, words))
        if verdict:
            yield verdict


def _means_minus(words: str, context: Context) -> bool:
    """Whether a dash is the opposite of a plus, and not an empty cell."""
    return "+" in context.values(f"={words}")


def _declared(record: Mapping[str, Any], words: str) -> Scale | None:
    """A scale that stands beside a mark: `rating_max`, `max_rating` (and the same for the lowest), or `rating_scale`."""
    named = {as_words(str(name)): name for name in list(record)}
    written = named.get(f"{words} scale")
    if written is not None and isinstance(record[written], str):
        return scale_of(record[written])
    ends = [next((named[n] for n in (f"{words} {end}", f"{end} {words}") if n in named), None) for end in ("min", "max")]
    low, top = (None if name is None else number_of(record[name]) for name in ends)
    worst = 1.0 if low is None else low
    return Scale(worst, top) if top is not None and top > worst else None


def _verdict(words: str, value: Any, context: Context, declared: Scale | None) -> Verdict | None:
    answer = context.answers.get(words.replace(" ", "_")) or (str(declared) if declared and words in _MAY_SAY else None)
    if answer == IGNORE[0]:
        return None
    up = thumb_of(value)
    number = number_of(value)
    numbers = {n for n in context.values(f"={words}") if isinstance(n, float)} | ({number} if number is not None else set())
    if number is not None and (not _is_thumb(words, numbers) or (answer and words not in SAYS)):
        return _mark(words, number, numbers, answer, context)
    if number == 0 and -1.0 in numbers and 1.0 in numbers:
        raise Unusable(f"“{words}” is 0 between −1 and 1: the answer is called neither good nor bad")
    if up is not None:
        return Thumbs(up) if words not in DENIES else Thumbs(False) if up else None  # not called bad is not called good
    remark = words == "status" or (isinstance(value, str) and len(value) > _SHORT)
    if remark and answer is None:
        return None
    given = answer or _ask_label(words, context)
    return Thumbs(str(value).strip().casefold() in {part.strip().casefold() for part in given.split(",")})


_SHORT = 40  # characters; a longer text is a remark


def _is_thumb(words: str, numbers: set[float]) -> bool:
    """Whether a column's numbers say good or bad. A rating that is always 1 may be the worst of five."""
    if not numbers <= {-1.0, 0.0, 1.0}:
        return False
    return words not in _MAY_SAY or -1.0 in numbers or (0.0 in numbers and words not in STARS)


def _ask_label(words: str, context: Context) -> str:
    seen = ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in context.values(f"={words}")[:8])
    return context.ask(Question(
        words.replace(" ", "_"),
        f"Some values of “{words}” are neither true nor false ({seen}). Which of them call an answer good? Name those, with commas "
        "between, or say ignore.",
        (IGNORE,),
    ))  # fmt: skip


def _mark(words: str, number: float, numbers: set[float], answer: str | None, context: Context) -> Verdict:
    if words in SAYS or words in DENIES:
        given = answer or _ask_label(words, context)
        wanted = {number_of(part) for part in given.split(",")}
        return Thumbs(number in wanted)
    key = words.replace(" ", "_")
    scale = scale_of(answer) if answer else ask_scale(key, words, numbers, context)
    return Ratings((mark(words, number, scale, context),))


def ask_scale(key: str, name: str, marks: set[float], context: Context) -> Scale:
    """The scale that the marks suggest: settled by them, or asked for.

    Raises:
        Unusable: nobody has said.
    """
    likely, settled = told_by(marks)
    if either_way(name):
        likely = None
    if likely and settled:
        return likely
    low, high = min(marks), max(marks)
    seen = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    choices = [(str(scale), scale.words) for scale in scales_with(marks)]
    text = f"Which scale has “{name}”? Its marks are {seen}; write the worst and the best mark, as 1-10."
    if key.split(":")[0] != "scale":
        choices.append(IGNORE)
    return scale_of(context.ask(Question(key, text, tuple(choices), str(likely or ""))))


def mark(name: str, number: float, scale: Scale, context: Context) -> Rating:
    """One answer's mark. A scale of more steps than a mark can have is kept in as many as it can."""
    if scale.levels <= MAX_LEVELS:
        return Rating(name[:80], scale.levels, (scale.level(number),))
    level = scale.level(number)
    context.note(f"The {scale.levels} steps of “{name}” are kept as {MAX_LEVELS}")
    return Rating(name[:80], MAX_LEVELS, (1 + (level - 1) * (MAX_LEVELS - 1) // (scale.levels - 1),))


# --- two answers


def ranks_of(record: Record, context: Context) -> tuple[int, int]:
    """Chosen before rejected, unless the record says that they are equally good."""
    check_kept(record)
    beside = _beside(record, context)
    if beside:
        return beside
    scores = list(_scores(record))
    tied = [name for name in list(record) if as_words(str(name)) in ("tie", "is tie", "tied")]
    if any(thumb_of(record[name]) for name in tied) or (scores and all(a == b for a, b in scores)):
        return (1, 1)
    if any(a < b for a, b in scores):
        context.note("The chosen answer has the lower score; what is called chosen counts as better")
    return (1, 2)


_SCORE = re.compile(r"score|rating|reward|mark|grade|points|rank")
_TIES = ("tie", "tied", "equal", "same", "draw", "both", "both_good", "equally_good")
_ASIDE = ("discarded", "deleted", "draft", "pending", "excluded", "invalid", "skipped")


def _beside(record: Record, context: Context) -> tuple[int, int] | None:
    """What a column beside two answers says of who won; None where the names chosen and rejected say all.

    Raises:
        Unusable: the row is not to be used, or it is not known what the column means.
    """
    for words, value in _words(record):
        if words in _TEXTS:
            continue
        said = word_of(value)
        if words == "weight" and number_of(value) == 0:
            raise Unusable("its weight is 0: it is not to be learned from")
        if words == "status" and (said in _ASIDE or thumb_of(value) is False):
            raise Unusable(f"its status is “{said[:40]}”")
        if words in (*SAYS, "status") and said in _TIES:
            return (1, 1)
        if words in SAYS and thumb_of(value) is False:
            return _denied(words, context)
    return None


_TEXTS = ("chosen", "preferred", "accepted", "good")  # the better answer itself


def _denied(words: str, context: Context) -> tuple[int, int]:
    choices = (("chosen", "Nothing: what is called chosen is better"), ("rejected", "That the other answer is better"),
               ("neither", "That the row is wrong; it is left out"))  # fmt: skip
    text = f"Beside two answers “{words}” is false or 0. What does that say?"
    said = context.ask(Question(f"pair:{words.replace(' ', '_')}", text, choices))
    if said == "neither":
        raise Unusable(f"“{words}” says that it is not right")
    return (1, 2) if said == "chosen" else (2, 1)


def _scores(record: Record) -> Iterator[tuple[float, float]]:
    """The scores of chosen and rejected, whatever they are called."""
    names = {as_words(str(name)): name for name in list(record)}
    for words, name in names.items():
        other = names.get(words.replace("chosen", "rejected"))
        if "chosen" in words and other and _SCORE.search(words):
            first, second = number_of(record[name]), number_of(record[other])
            if first is not None and second is not None:
                yield (-first, -second) if "rank" in words else (first, second)
