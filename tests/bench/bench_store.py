"""The store at a million judgements: how long saving, searching, paging and opening take.

    make bench ARGS="store [--judgements 1000000] [--prompts 250000] [--keep FOLDER]"

The feedback is made up: a Zipf vocabulary, two answers to each prompt, four people, some ties, reasons, marks and tags. It goes
through the same triggers as real feedback. A row of figures is appended to results.jsonl beside this file. The file was just
written, so it lies in the system's cache as far as that reaches; p95 is over single calls, one after the other.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import accumulate, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from rlhf_desktop.feedback.conversations import Project  # noqa: E402
from rlhf_desktop.feedback.judgements import (  # noqa: E402
    Flag,
    Judgement,
    Ranking,
    Rating,
    Ratings,
    Skip,
    Thumbs,
    Verdict,
    Withdrawn,
    verdict_to_json,
)
from rlhf_desktop.operations.history import count_history, find_history  # noqa: E402
from rlhf_desktop.store.database import Store  # noqa: E402
from rlhf_desktop.store.history import Cursor, HistoryQuery, Sort  # noqa: E402
from rlhf_desktop.store.shelf import ConversationQuery  # noqa: E402
from tests.bench.results import keep  # noqa: E402

PEOPLE = ("Ada", "Bo", "Cy", "Di")
TAGS = {"common": 7, "hard": 97, "urgent": 10_007}  # every how many-th judgement has it
VOCABULARY = 30_000
BATCH = 20_000
LIMITS_MS = {"store_p95_ms": 10.0, "search_p95_ms": 50.0, "chat_search_p95_ms": 50.0, "page_p95_ms": 20.0, "open_ms": 3000.0}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judgements", type=int, default=1_000_000)
    parser.add_argument("--prompts", type=int, default=250_000)
    parser.add_argument("--keep", type=Path, help="make the database here, or use the one that is here")
    return parser.parse_args()


class Words:
    """Texts of made-up words, the n-th as frequent as 1/n."""

    def __init__(self, seed: int = 0) -> None:
        letters, fixed = "bcdfghjklmnprstvwz", random.Random(0)
        self.known = ["".join(fixed.choice(letters) + fixed.choice("aeiou") for _ in range(2 + n % 3)) + str(n % 97)
                      for n in range(VOCABULARY)]  # fmt: skip
        self.chance = random.Random(seed)
        self._stream = self._endless()

    def _endless(self) -> Iterator[str]:
        weights = list(accumulate(1 / (n + 3) for n in range(VOCABULARY)))
        while True:
            yield from self.chance.choices(self.known, cum_weights=weights, k=100_000)

    def text(self, count: int) -> str:
        return " ".join(islice(self._stream, count))


def an_id(number: int, kind: int) -> str:
    """Ids in the order of time, as UUIDv7 are."""
    return f"{number:08x}-{kind:04x}-7000-8000-{number:012x}"


def fill(store: Store, project: Project, judgements: int, prompts: int) -> None:
    """Make the feedback, in large transactions and without waiting for the disk. One broken off goes on where it was."""
    raw = store.connection.raw
    raw.execute("PRAGMA synchronous=OFF")
    raw.execute("PRAGMA cache_size=-400000")
    each = max(1, judgements // prompts)
    made = int(store.connection.rows("SELECT count(*) AS n FROM conversations")[0]["n"])
    for start in range(made, prompts, BATCH):
        words = Words(seed=start)
        numbers = range(start, min(start + BATCH, prompts))
        with store.connection.transaction():
            conversations, messages = [], []
            for n in numbers:
                prompt = words.text(words.chance.randint(10, 40))
                when = moment(n * each)
                origin = "chat" if n % 50 == 0 else "label"
                conversations.append((an_id(n, 1), project.id, prompt[:60], when, when, origin, an_id(n, 3), ""))
                messages.append((an_id(n, 2), an_id(n, 1), None, 0, "user", prompt, when))
                for kind in (3, 4):
                    answer = words.text(words.chance.randint(20, 90))
                    messages.append((an_id(n, kind), an_id(n, 1), an_id(n, 2), kind - 3, "assistant", answer, when))
            raw.executemany("INSERT INTO conversations VALUES (?,?,?,?,?,?,?,?)", conversations)
            raw.executemany(
                "INSERT INTO messages (id, conversation_id, parent_id, position, role, content, created_at) VALUES (?,?,?,?,?,?,?)",
                messages,
            )
            events = [event for n in numbers for event in judged(project.id, n, each, words)]
            raw.executemany(
                "INSERT INTO judged_completions VALUES (?,?,?)",
                [(j.id, place, message) for j in events for place, message in enumerate(j.displayed)],
            )
            store.connection.insert("judgements", (row_of(j) for j in events))
    for name, step in TAGS.items():
        store.tags.add([an_id(n, 5) for n in range(0, judgements, step)], name)
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.execute("PRAGMA synchronous=FULL")


def make(path: Path, judgements: int, prompts: int) -> None:
    """The database, unless it is whole already."""
    whole = path.with_suffix(".whole")
    if whole.exists():
        return
    begun = time.perf_counter()
    with Store.open(path) as store:
        projects = store.projects.all()
        fill(store, projects[0] if projects else store.projects.create("Bench"), judgements, prompts)
    whole.touch()
    print(f"made in {time.perf_counter() - begun:.0f} s, {path.stat().st_size / 2**20:.0f} MiB", file=sys.stderr)


def moment(number: int) -> str:
    """Every judgement a second after the other."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1_700_000_000 + number)) + ".000+00:00"


def judged(project_id: str, prompt: int, each: int, words: Words) -> Iterator[Judgement]:
    """What was said of one prompt's answers: mostly rankings, at times another form; seldom repeats, and some taken back."""
    for turn in range(each):
        number = prompt * each + turn
        order = (3, 4) if words.chance.random() < 0.5 else (4, 3)
        also = (Ratings((Rating("accuracy", 5, (words.chance.randint(1, 5), words.chance.randint(1, 5))),)),)
        back = number % 53 == 0 and turn > 0
        verdict = Withdrawn() if back else a_verdict(words.chance, number)
        yield Judgement(
            project_id,
            PEOPLE[turn % len(PEOPLE)],
            tuple(an_id(prompt, kind) for kind in order),
            verdict,
            seconds_spent=round(words.chance.uniform(1, 60), 1),
            critique=words.text(8) if number % 10 == 0 else "",
            supersedes=an_id(number - 1, 5) if back else None,
            also=also if number % 7 == 0 and isinstance(verdict, Ranking) else (),
            purpose="repeat" if number % 20 == 0 else "adjudication" if number % 5003 == 0 else "label",
            id=an_id(number, 5),
            created_at=moment(number),
        )


def a_verdict(chance: random.Random, number: int) -> Verdict:
    if number % 31 == 0:
        return Thumbs(chance.random() < 0.5)
    if number % 701 == 0:
        return Flag("odd")
    if number % 37 == 0:
        return Skip()
    return Ranking(chance.choices([(1, 2), (2, 1), (1, 1)], (45, 45, 10))[0])


def row_of(j: Judgement) -> dict[str, object]:
    plain = {name: value for name, value in vars(j).items() if name not in ("displayed", "verdict", "also")}
    also = json.dumps([verdict_to_json(part) for part in j.also])
    return {**plain, "kind": j.kind, "verdict": json.dumps(verdict_to_json(j.verdict)), "also": also}


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def p95(times: list[float]) -> float:
    return round(statistics.quantiles(times, n=20)[18], 2)


def saving(store: Store, project: Project, prompts: int, count: int = 400) -> list[float]:
    """Judgements of existing answers, each on disk when its call returns."""
    chance = random.Random(5)
    times = []
    for n in range(count):
        prompt = chance.randrange(prompts)
        judgement = Judgement(
            project.id, "Ada", (an_id(prompt, 3), an_id(prompt, 4)), Ranking((1, 2)), 4.0, critique=f"because {n}"
        )
        times.append(timed(lambda judgement=judgement: store.judgements.add(judgement)))
    return times


def queries(words: Words) -> list[str]:
    """What people type: common and rare words, several, unfinished ones."""
    known, chance = words.known, random.Random(9)
    found = [known[n] for n in (0, 1, 2, 5, 10, 50, 100, 500, 1000, 5000, 10_000, 29_000)]
    found += [f"{known[a]} {known[b]}" for a, b in ((0, 1), (0, 100), (3, 9), (50, 60), (200, 5000), (1000, 20_000))]
    found += [known[n][:3] for n in (0, 7, 70)] + [known[n][:4] for n in (0, 7, 700)]
    found += [known[chance.randrange(VOCABULARY)] for _ in range(20)] + ["nowhereword", "nowhere at all"]
    return found


FILTERS = {
    "all": HistoryQuery(),
    "of one": HistoryQuery(who="Cy"),
    "of nobody": HistoryQuery(who="Ed"),
    "rankings": HistoryQuery(kinds=("ranking",)),
    "thumbs": HistoryQuery(kinds=("thumbs",)),
    "flags": HistoryQuery(kinds=("flag",)),
    "with marks": HistoryQuery(kinds=("ratings",)),
    "flags of one": HistoryQuery(kinds=("flag",), who="Cy"),
    "often tagged": HistoryQuery(tag="common"),
    "tagged": HistoryQuery(tag="hard"),
    "seldom tagged": HistoryQuery(tag="urgent"),
    "tagged thumbs of one": HistoryQuery(tag="hard", kinds=("thumbs",), who="Bo"),
    "a day": HistoryQuery(since=moment(500_000), until=moment(586_400)),
    "repeats": HistoryQuery(purpose="repeat"),
    "adjudications": HistoryQuery(purpose="adjudication"),
    "in effect": HistoryQuery(standing=True),
}


def pages(store: Store, project: Project, judgements: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Each list a user may look at, in each order: its first pages, and some from the middle on.

    Returns what each call took, by list; and where a call came back with nothing, how long it took to something, or to the end.
    """
    calls: dict[str, list[float]] = {}
    waits: dict[str, float] = {}
    for sort in get_args(Sort):
        far = far_cursor(store, sort, judgements // 2)
        for name, chosen in FILTERS.items():
            query, listed = replace(chosen, sort=sort), f"{name}, {sort}"
            for after, many in ((None, 3), (far, 2)):
                took, waited = walked(store, project, query, after, many)
                calls.setdefault(listed, []).extend(took)
                waits[listed] = max(waited, waits.get(listed, 0.0))
    return calls, waits


def walked(store: Store, project: Project, query: HistoryQuery, after: Cursor | None, many: int) -> tuple[list[float], float]:
    """Some pages with rows, from a place on: the time of each call, and the longest from one page with rows to the next."""
    took: list[float] = []
    longest = waited = 0.0
    while many:
        begun = time.perf_counter()
        page = find_history(store, project, query, after)
        took.append((time.perf_counter() - begun) * 1000)
        waited += took[-1]
        if page.rows or page.next is None:
            longest, waited, many = max(longest, waited), 0.0, many - 1
        after = page.next
        if after is None:
            break
    return took, longest


def far_cursor(store: Store, sort: Sort, number: int) -> Cursor:
    """A place in the middle of a list."""
    row = store.connection.rows("SELECT rowid AS r, * FROM judgements WHERE id = ?", (an_id(number, 5),))[0]
    time_, kind, who, purpose = row["created_at"], row["kind"], row["who"], row["purpose"]
    keys = {
        "slowest": (30.0, kind, who, purpose, time_),
        "quickest": (30.0, kind, who, purpose, time_),
        "who": (who, time_, kind, purpose),
        "kind": (kind, time_, who, purpose),
    }
    return Cursor(keys.get(sort, (time_, kind, who, purpose)), row["r"])


def searches(store: Store, project: Project) -> dict[str, float]:
    """What people type, in the list as it is and in lists narrowed or sorted otherwise: milliseconds to the first page."""
    lists = {"": HistoryQuery(), " of one": HistoryQuery(who="Cy"), " flags": HistoryQuery(kinds=("flag",))}
    lists |= {" slowest": HistoryQuery(sort="slowest"), " oldest": HistoryQuery(sort="oldest")}
    return {
        f"{words}{name}": timed(lambda q=query, w=words: find_history(store, project, replace(q, text=w)))
        for name, query in lists.items()
        for words in queries(Words())
    }


def measure(path: Path, judgements: int, prompts: int) -> dict[str, object]:
    opened = [timed(lambda: Store.open(path).close()) for _ in range(3)]  # and closed, though the day's check has begun
    with Store.open(path) as store:
        if store.upkeep:
            store.upkeep.wait()  # the day's check and backup
        (project,) = store.projects.all()
        searched = searches(store, project)
        paged, waits = pages(store, project, judgements)
        counts = {name: timed(lambda q=query: count_history(store, project, q)) for name, query in FILTERS.items()}
        around = {
            "counts": timed(lambda: store.standing.counts(project.id)),
            "people": timed(lambda: store.judgements.people(project.id)),
            "tags": timed(lambda: store.tags.counts(project.id)),
        }
        chats = [
            timed(lambda q=q: store.conversations.page(project.id, ConversationQuery(text=q), limit=50)) for q in queries(Words())
        ]
        saved = saving(store, project, prompts)
    every = [value for values in paged.values() for value in values]
    return {
        "judgements": judgements,
        "prompts": prompts,
        "file_mib": round(path.stat().st_size / 2**20),
        "open_ms": round(statistics.median(opened), 1),
        "store_p95_ms": p95(saved),
        "store_median_ms": round(statistics.median(saved), 2),
        "searches": len(searched),
        "search_p95_ms": p95(list(searched.values())),
        "search_slowest_ms": slowest(searched),
        "pages": len(every),
        "page_p95_ms": p95(every),
        "page_slowest_ms": slowest({name: max(values) for name, values in paged.items()}),
        "rare_rows_ms": slowest(waits),
        "count_ms": slowest(counts),
        "around_ms": slowest(around),
        "chat_search_p95_ms": p95(chats),
    }


def slowest(found: dict[str, float], most: int = 6) -> dict[str, float]:
    return {name: round(value, 1) for name, value in sorted(found.items(), key=lambda item: -item[1])[:most]}


def main() -> int:
    args = arguments()
    with TemporaryDirectory() as folder:
        path = (args.keep or Path(folder)) / "feedback.db"
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path, args.judgements, args.prompts)
        found = measure(path, args.judgements, args.prompts)
    held = {name: found[name] <= limit for name, limit in LIMITS_MS.items()}  # type: ignore[operator]
    row = {"bench": "store", **found, "holds": held}
    print(json.dumps(row, indent=1))
    keep(row)
    return 0 if all(held.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
