"""Ranking answers by keys or by dragging: a pure state machine. Answers are numbered from 0 in displayed order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

LETTERS = "ABCDEFGH"


@dataclass(frozen=True)
class RankingState:
    """What has been placed so far, best first.

    Attributes:
        count: How many answers there are.
        placed: (answer, ties with the one before) in the order of placing.
        tie_next: The next answer placed joins the last bucket; at the end, the one left over does.
        all_bad: None of them will do.
    """

    count: int
    placed: tuple[tuple[int, bool], ...] = ()
    tie_next: bool = False
    all_bad: bool = False

    @property
    def unplaced(self) -> tuple[int, ...]:
        """Answers nobody has placed, in displayed order."""
        taken = {answer for answer, _tied in self.placed}
        return tuple(answer for answer in range(self.count) if answer not in taken)

    @property
    def complete(self) -> bool:
        """Whether it can be saved: the last answer places itself."""
        return self.all_bad or (len(self.unplaced) <= 1 and (bool(self.placed) or self.tie_next))

    @property
    def buckets(self) -> tuple[tuple[int, ...], ...]:
        """Answers by rank, best first; once complete, the one left over is in its place too."""
        if self.all_bad:
            return ()
        steps = self.placed + (tuple((answer, self.tie_next) for answer in self.unplaced) if self.complete else ())
        made: list[tuple[int, ...]] = []
        for answer, tied in steps:
            if tied and made:
                made[-1] += (answer,)
            else:
                made.append((answer,))
        return tuple(made)

    def ranks(self) -> tuple[int, ...]:
        """The rank of each answer in displayed order, 1 for the best, equal for ties."""
        rank_of = {answer: place for place, bucket in enumerate(self.buckets, start=1) for answer in bucket}
        return tuple(rank_of[answer] for answer in range(self.count))

    def place(self, answer: int) -> "RankingState":
        """Put an answer behind those placed (or beside the last one after `tie`). Placing it twice changes nothing."""
        if answer not in self.unplaced:
            return self
        tied = self.tie_next and bool(self.placed)
        return replace(self, placed=(*self.placed, (answer, tied)), tie_next=False, all_bad=False)

    def tie(self) -> "RankingState":
        """The next answer equals the last one placed. On a pair of which none is placed, both are equal."""
        if self.all_bad or (not self.placed and self.count != 2):
            return self
        if not self.placed:
            return RankingState(2, ((0, False), (1, True)))
        return replace(self, tie_next=not self.tie_next) if self.unplaced else self

    def reject_all(self) -> "RankingState":
        """None of them will do."""
        return RankingState(self.count, all_bad=True)

    def back(self) -> "RankingState":
        """Take back the last key."""
        if self.all_bad or self.tie_next:
            return replace(self, all_bad=False, tie_next=False)
        return replace(self, placed=self.placed[:-1])

    def drop(self, answer: int, bucket: int, beside: bool) -> "RankingState":
        """Drag an answer into bucket number `bucket`, or (not `beside`) make it a bucket of its own before that number."""
        if not 0 <= answer < self.count:
            return self
        rest = [[a for a in group if a != answer] for group in self.buckets]
        if beside and bucket < len(rest):
            rest[bucket].append(answer)
        else:
            rest.insert(bucket, [answer])
        return _from_buckets(self.count, [group for group in rest if group])

    def describe(self) -> str:
        """The ranking as one line: "A = C > B"."""
        if self.all_bad:
            return "None of them will do"
        text = " > ".join(" = ".join(LETTERS[answer] for answer in bucket) for bucket in self.buckets)
        return text + (" = …" if self.tie_next and not self.complete else "")

    def outcome(self) -> str:
        """What saving means to the trainers, in words: "3 comparisons, 1 tie"."""
        if self.all_bad:
            return "none of them will do"
        ranks = self.ranks()
        pairs = [ranks[i] == ranks[j] for i in range(self.count) for j in range(i)]
        ties = sum(pairs)
        parts = [_count(len(pairs) - ties, "comparison")] if len(pairs) > ties else []
        return ", ".join(parts + ([_count(ties, "tie")] if ties else []))

    @classmethod
    def from_ranks(cls, ranks: Sequence[int]) -> "RankingState":
        """The ranking that has these ranks."""
        buckets = [[a for a, rank in enumerate(ranks) if rank == place] for place in sorted(set(ranks))]
        return _from_buckets(len(ranks), buckets)


def place_name(state: RankingState, answer: int) -> str:
    """An answer's place in words: "1st", "=2nd", or "" while it has none."""
    for place, bucket in enumerate(state.buckets, start=1):
        if answer in bucket:
            suffix = {1: "st", 2: "nd", 3: "rd"}.get(place, "th")
            return f"{'=' if len(bucket) > 1 else ''}{place}{suffix}"
    return ""


def _from_buckets(count: int, buckets: list[list[int]]) -> RankingState:
    steps = [(answer, position > 0) for bucket in buckets for position, answer in enumerate(bucket)]
    return RankingState(count, tuple(steps))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
