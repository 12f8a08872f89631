"""The rule "support-v1": the named, fixed taste by which the sample feedback is made and the demo is judged.

It stands in for a support lead who wants answers that acknowledge the customer's trouble before they offer a solution. An answer
earns up to five points, one for each part:

* `acknowledgement`: the first sentence recognises the customer's trouble (an apology or a word of empathy; a greeting may precede);
* `product`: the customer's own product is named;
* `next_step`: a concrete step is offered: something we do ("I'll send …"), or something we ask for ("Could you confirm …?").
  Sending the customer on to "customer support" is not a step: we are customer support;
* `length`: 15 to 60 words;
* `end`: the answer ended by itself, with the punctuation of a sentence.

Points alone can be farmed, so there are guards. Each guard that trips divides the points by five, so an answer that trips one never
earns more than one point, and loses to any plain answer with two parts right:

* `customer_voice`: it speaks as the customer ("I ordered …", "my printer"), or writes both sides of a dialogue;
* `echo`: it repeats the customer's own words at length;
* `repetition`: sentences or phrases come again and again, or the apology does;
* `fragments`: shreds in place of sentences, or a list of keywords;
* `shouting`: capitals, or three exclamation marks or more;
* `placeholder`: blanks left for somebody to fill in ("[Your Name]");
* `refusal`: it says that it is a program, or that it cannot help;
* `rude`: it blames or belittles the customer.

The answer with more points is preferred; equal points are a tie. The rule reads form, not truth: it cannot tell whether a promise
can be kept, and a person's judgement is worth more. `rule_hash` is recorded in `resources/demo/rule.sha256`, so that a change of
the rule cannot pass unnoticed; a changed rule is a new rule and needs a new name.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RULE_NAME = "support-v1"
PARTS = ("acknowledgement", "product", "next_step", "length", "end")
GUARDS = ("customer_voice", "echo", "repetition", "fragments", "shouting", "placeholder", "refusal", "rude")
MIN_WORDS, MAX_WORDS = 15, 60
GUARD_DIVISOR = 5.0


@dataclass(frozen=True)
class RuleScore:
    """How one answer did: each part (0 or 1), the guards it tripped, and its points (0 to 5)."""

    parts: dict[str, float]
    guards: tuple[str, ...]
    points: float


def judge(prompt: str, products: Sequence[str], answer: str, finish: str | None = None) -> RuleScore:
    """The rule's verdict on one answer.

    Args:
        prompt: The customer's message.
        products: Lower-case names that count as naming the customer's product.
        answer: The answer to judge.
        finish: How the answer ended ("end", "length", "cancelled"), when that is known.
    """
    text = _plain(answer)
    parts = {
        "acknowledgement": float(_acknowledges(text)),
        "product": float(bool(_names(products).search(text))),
        "next_step": float(bool(_NEXT_STEP.search(text))),
        "length": float(MIN_WORDS <= len(_words(text)) <= MAX_WORDS),
        "end": float(finish in (None, "end") and bool(_SENTENCE_END.search(text))),
    }
    guards = _tripped(_plain(prompt), products, text)
    return RuleScore(parts, guards, sum(parts.values()) / GUARD_DIVISOR ** len(guards))


def compare(a: RuleScore, b: RuleScore) -> float:
    """1 if `a` is preferred, 0 if `b` is, 0.5 for a tie."""
    return 0.5 if a.points == b.points else float(a.points > b.points)


def ranks(scores: Sequence[RuleScore]) -> list[int]:
    """Rank of each answer, 1 the best; equal points share a rank, and no rank is skipped."""
    order = sorted({score.points for score in scores}, reverse=True)
    return [order.index(score.points) + 1 for score in scores]


def rule_hash() -> str:
    """SHA-256 of this file: which version of the rule made a judgement."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


# --- parts --------------------------------------------------------------------------------------------------------------------

_FEELING = (
    "annoying|awful|concerning|difficult|disappointing|disgusting|distressing|dreadful|embarrassing|exhausting|frightening|"
    "frustrating|hard|heartbreaking|horrible|inconvenient|infuriating|maddening|painful|scary|stressful|terrible|tiresome|"
    "unacceptable|unpleasant|unsettling|upsetting|worrying"
)
# "Sorry, but …" and "Sorry, I can't …" turn the customer away: they acknowledge nothing.
_EMPATHY = re.compile(
    r"(?<!not )\bsorry\b(?!,? (?:but|i can't|i cannot|i don't|i'm not|i am not|we can't|we cannot)\b)"
    r"|\bi (?:do |sincerely |deeply |really |truly )*apologi[sz]e\b|\bwe (?:sincerely |deeply )*apologi[sz]e\b"
    r"|\b(?:my|our) (?:sincere |deepest |sincerest )?apologies\b"
    r"|\bi (?:can |do |completely |fully |truly |really |totally )*(?:understand|imagine|see) (?:how|why|your|that you)\b"
    rf"|\b(?:must|that's|that is|that sounds|this is|how|what an?|it's|it is)(?: [a-z]+){{0,3}} (?:{_FEELING})\b",
    re.IGNORECASE,
)
_GREETING = re.compile(r"^(?:hi|hello|hey|dear|good (?:morning|afternoon|evening))\b(?:[ ,]+[\w.]+){0,3}[,!.]?$", re.IGNORECASE)
_OUR_ACTIONS = (
    "send|sending|ship|shipping|post|replace|replacing|refund|refunding|repair|repairing|fix|fixing|check|checking|arrange|"
    "arranging|order|ordering|book|booking|call|calling|ring|contact|contacting|look into|looking into|investigate|investigating|"
    "credit|crediting|cancel|cancelling|canceling|reopen|open|opening|restore|restoring|run|load|ask|asking|escalate|escalating|"
    "collect|collecting|verify|verifying|exchange|exchanging|provide|offer|issue|issuing|schedule|scheduling|reset|unlock|unlocking|correct|"
    "correcting|deliver|delivering|find out|get back to|make sure|sort out|reimburse|cover|pay|email|pass|transfer|bake|stay with"
)
_THEIR_ACTIONS = (
    "send|tell|share|confirm|provide|reply|give|let|try|check|unplug|plug|switch|turn|reset|restart|attach|forward|describe|take|"
    "keep|stop|throw|upload|email|bring|return|choose|pick|open|hold|press|charge|remove|enter|show"
)
_WE = (
    r"(?:i|we)(?:'ll| will|'d like to| would like to|'m| am|'re| are|'m going to| am going to|'re going to| are going to|"
    r" can| have|'ve| want to)"
)
_NEXT_STEP = re.compile(
    rf"\b{_WE}(?: (?!not\b|never\b|unable\b|sorry\b)[a-z]+){{0,2}} (?:{_OUR_ACTIONS})\b"
    rf"|\blet me(?: [a-z]+){{0,1}} (?:{_OUR_ACTIONS})\b"
    rf"|\b(?:please|could you|can you|would you|if you)(?: (?!not\b|never\b)(?:please|just|also|kindly|could|can))?"
    rf" (?:{_THEIR_ACTIONS}) (?:us|me|\w+)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"""[.!?]["')]?$""")


def _acknowledges(text: str) -> bool:
    """Whether the first sentence, after a greeting, recognises the customer's trouble."""
    sentences = [s for s in _sentences(text) if not _GREETING.match(s)]
    return bool(sentences) and bool(_EMPATHY.search(sentences[0]))


def _names(products: Sequence[str]) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(re.escape(name) for name in products) + r")(?:s|es)?\b", re.IGNORECASE)


# --- guards -------------------------------------------------------------------------------------------------------------------

_CUSTOMER_VOICE = re.compile(
    r"\bi(?:'ve| have| had)?(?: just| already| also| only| never)? (?:bought|purchased|paid|returned)\b"
    r"|\bi(?:'ve| have| had)?(?: just| already)? (?:ordered|received|waited|been waiting)\b"
    r"(?! your\b)(?!(?: \w+){0,4} (?:new|replacement|spare|right|correct|another|for you)\b)"
    r"|\bmy (?:order|money|refund|purchase|account|package|parcel|problem|complaint|issue)\b"
    r"|\bi (?:want|need|demand|would like|expect) (?:a|my|an|the) (?:full )?(?:refund|replacement|explanation|money)\b"
    r"|\b(?:i am|i'm) (?:so |very |really |extremely )?(?:frustrated|disappointed|angry|upset|furious)\b"
    r"|\bdear (?:customer (?:service|support)|support|sir)\b"
    r"|(?:^|\n)\s*(?:customer|agent|user|assistant|support|me|you|subject)\s*:",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(r"\[[^\]]{1,60}\]|<(?:your|insert|name)[^>]*>|\b(?:x{3,}|_{3,})", re.IGNORECASE)
_REFUSAL = re.compile(
    r"\b(?:as an ai|language model|i(?:'m| am) (?:just )?an ai)\b"
    r"|\b(?:i|we)(?: can't| cannot| can not|'m unable to| am unable to|'m not able to| am not able to)"
    r" (?:help|assist|answer|do anything|provide)\b",
    re.IGNORECASE,
)
_RUDE = re.compile(
    r"\byour (?:own )?fault\b|\bcalm down\b|\bstop complaining\b|\bnot (?:my|our) (?:problem|fault)\b|\bshut up\b|\bstupid\b"
    r"|\bshould have (?:read|been more careful)\b|\byou must have broken\b",
    re.IGNORECASE,
)
# Words that carry grammar: about half of any English sentence, and almost none of a list of keywords.
_GRAMMAR_WORDS = """
    a about after again all also am an and any are as at be because been before but by can could did do does for from get had has
    have he here how i if in into is it it's its i'll i'm i've just let me my no not now of off on once one or our out please she so
    some than that that's the their them then there they this those to until up us was we we'll we're were what when where which
    while who why will with would you you'd you'll you're you've your"""
_GRAMMAR = frozenset(_GRAMMAR_WORDS.split())


def _tripped(prompt: str, products: Sequence[str], text: str) -> tuple[str, ...]:
    words = _words(text)
    checks = {
        "customer_voice": bool(_CUSTOMER_VOICE.search(text) or _claims_product(products, text)),
        "echo": _echoes(_words(prompt), words),
        "repetition": _repeats(text, words),
        "fragments": _fragments(text, words),
        "shouting": text.count("!") >= 3 or sum(w.isupper() and len(w) > 2 for w in re.findall(r"[^\W\d_]+", text)) > 2,
        "placeholder": bool(_PLACEHOLDER.search(text)),
        "refusal": bool(_REFUSAL.search(text)),
        "rude": bool(_RUDE.search(text)),
    }
    return tuple(name for name in GUARDS if checks[name])


def _claims_product(products: Sequence[str], text: str) -> bool:
    """Whether it says "my printer" or "my new washing machine": the product is the customer's, never ours."""
    return bool(re.search(r"\bmy (?:\w+ ){0,2}(?:" + "|".join(re.escape(p) for p in products) + r")\b", text, re.IGNORECASE))


def _echoes(prompt: list[str], words: list[str]) -> bool:
    """Nine words running from the prompt, or four in ten of the answer's word triples."""
    if _grams(prompt, 9) & _grams(words, 9):
        return True
    triples = [tuple(words[i : i + 3]) for i in range(len(words) - 2)]
    known = _grams(prompt, 3)
    return bool(triples) and sum(t in known for t in triples) / len(triples) >= 0.4


def _repeats(text: str, words: list[str]) -> bool:
    """A sentence twice, a phrase of four words three times or many twice, or more apologies than sentences can bear."""
    sentences = [" ".join(_words(s)) for s in _sentences(text)]
    if len(set(sentences)) < len(sentences):
        return True
    fours = Counter(tuple(words[i : i + 4]) for i in range(len(words) - 3))
    spare = sum(fours.values()) - len(fours)
    if fours and (max(fours.values()) >= 3 or spare / sum(fours.values()) > 0.1):
        return True
    return sum(w.startswith(("sorry", "apolog")) for w in words) >= 4


def _fragments(text: str, words: list[str]) -> bool:
    """Sentences of fewer than five words on average, or too few of the words that hold a sentence together."""
    sentences = [s for s in _sentences(text) if not _GREETING.match(s)]
    if not words or (len(sentences) > 1 and len(words) / len(sentences) < 5):
        return True
    return sum(w in _GRAMMAR for w in words) / len(words) < 0.3


# --- text ---------------------------------------------------------------------------------------------------------------------


def _plain(text: str) -> str:
    """The text with straight quotes and single spaces; line breaks are kept, as they end sentences."""
    text = text.translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'})
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines() if line.strip())


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['-][^\W_]+)*", text.lower())


def _sentences(text: str) -> list[str]:
    return [s for s in re.split(r"""(?<=[.!?])["')]*\s+|\n+""", text) if _words(s)]


def _grams(words: list[str], n: int) -> set[tuple[str, ...]]:
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}
