"""Plain facts about a model's answers: how long, how varied, how likely under another model."""

import math
from collections.abc import Iterable, Mapping, Sequence


def mean_words(texts: Sequence[str]) -> float:
    """Words an answer, split at white space; 0 when there are no answers."""
    return sum(len(text.split()) for text in texts) / len(texts) if texts else 0.0


def distinct_n(texts: Iterable[str], n: int = 2) -> float:
    """Distinct n-grams as a share of all, over all answers together (Li et al. 2016): low where a model repeats itself."""
    grams = [tuple(words[i : i + n]) for words in (text.lower().split() for text in texts) for i in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def mean_by_name(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each named number: the rate of each part of a rule."""
    return {name: sum(score[name] for score in scores) / len(scores) for name in scores[0]} if scores else {}


def perplexity(logprobs: Iterable[float], tokens: Iterable[int]) -> float:
    """exp(−summed log-probability / tokens), pooled over all answers, so that long answers weigh by their length."""
    count = sum(tokens)
    return math.exp(-sum(logprobs) / count) if count else math.nan
