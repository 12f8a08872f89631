"""The store at a million judgements: how long saving, searching, paging and opening take.

    make bench ARGS="store [--judgements 1000000] [--prompts 250000] [--keep FOLDER]"

The feedback is made up: a Zipf vocabulary, two answers to each prompt, four people, some ties, reasons, marks and tags. It goes
through the same triggers as real feedback. A row of figures is appended to results.jsonl beside this file. The file was just
written, so it lies in the system's cache as far as that reaches; p95 is over single calls, one after the other.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from rlhf_desktop.core.files import append_jsonl  # noqa: E402
from rlhf_desktop.feedback.conversations import Project  # noqa: E402
from rlhf_desktop.feedback.judgements import Judgement, Ranking, Rating, Ratings, verdict_to_json  # noqa: E402
from rlhf_desktop.operations.history import find_history  # noqa: E402
from rlhf_desktop.store.database import Store  # noqa: E402
from rlhf_desktop.store.history import HistoryQuery  # noqa: E402

PEOPLE = ("Ada", "Bo", "Cy", "Di")
VOCABULARY = 30_000
BATCH = 20_000
LIMITS_MS = {"store_p95_ms": 10.0, "search_p95_ms": 50.0, "page_p95_ms": 20.0, "open_ms": 3000.0}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judgements", type=int, default=1_000_000)
    parser.add_argument("--prompts", type=int, default=250_000)
    parser.add_argument("--keep", type=Path, help="make the database here, or use the one that is here")
    return parser.parse_args()


class Words:
    """Texts of made-up words, the n-th as frequent as 1/n."""

    def __init__(self, seed: int = 0) -> None:
        self.chance = random.Random(seed)
        letters = "bcdfghjklmnprstvwz"
        self.known = ["".join(self.chance.choice(letters) + self.chance.choice("aeiou") for _ in range(2 + n % 3)) + str(n % 97)
                      for n in range(VOCABULARY)]  # fmt: skip
        self._pool: list[str] = []

    def text(self, count: int) -> str:
        if len(self._pool) < count:
            weights = [1 / (n + 3) for n in range(VOCABULARY)]
            self._pool = self.chance.choices(self.known, weights, k=500_000)
        cut, self._pool = self._pool[:count], self._pool[count:]
        return " ".join(cut)


def an_id(number: int, kind: int) -> str:
    """Ids in the order of time, as UUIDv7 are."""
    return f"{number:08x}-{kind:04x}-7000-8000-{number:012x}"


def fill(store: Store, project: Project, judgements: int, prompts: int) -> None:
    """Make the feedback, in large transactions and without waiting for the disk."""
    raw = store.connection.raw
    raw.execute("PRAGMA synchronous=OFF")
    raw.execute("PRAGMA cache_size=-400000")
    words, each = Words(), max(1, judgements // prompts)
    for start in range(0, prompts, BATCH):
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
    for name, step in (("hard", 97), ("urgent", 1009)):
        store.tags.add([an_id(n, 5) for n in range(0, judgements, step)], name)
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.execute("PRAGMA synchronous=FULL")


def moment(number: int) -> str:
    """Every judgement a second after the other."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1_700_000_000 + number)) + ".000+00:00"


def judged(project_id: str, prompt: int, each: int, words: Words) -> Iterator[Judgement]:
    for turn in range(each):
        number = prompt * each + turn
        order = (3, 4) if words.chance.random() < 0.5 else (4, 3)
        ranks = words.chance.choices([(1, 2), (2, 1), (1, 1)], (45, 45, 10))[0]
        also = (Ratings((Rating("accuracy", 5, (words.chance.randint(1, 5), words.chance.randint(1, 5))),)),)
        yield Judgement(
            project_id,
            PEOPLE[turn % len(PEOPLE)],
            tuple(an_id(prompt, kind) for kind in order),
            Ranking(ranks),
            seconds_spent=round(words.chance.uniform(1, 60), 1),
            critique=words.text(8) if number % 10 == 0 else "",
            also=also if number % 7 == 0 else (),
            id=an_id(number, 5),
            created_at=moment(number),
        )


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


def pages(store: Store, project: Project) -> dict[str, list[float]]:
    """First and later pages of the lists a user looks at."""
    lists = {
        "newest": HistoryQuery(),
        "oldest": HistoryQuery(sort="oldest"),
        "slowest": HistoryQuery(sort="slowest"),
        "by who": HistoryQuery(sort="who"),
        "of one": HistoryQuery(who="Cy"),
        "of one, slowest": HistoryQuery(who="Cy", sort="slowest"),
        "rankings": HistoryQuery(kinds=("ranking",)),
        "with marks": HistoryQuery(kinds=("ratings",)),
        "thumbs": HistoryQuery(kinds=("thumbs",)),
        "tagged": HistoryQuery(tag="hard"),
        "seldom tagged": HistoryQuery(tag="urgent", sort="slowest"),
        "a month": HistoryQuery(since=moment(500_000), until=moment(600_000)),
        "in effect": HistoryQuery(standing=True),
    }
    found: dict[str, list[float]] = {}
    for name, query in lists.items():
        after = None
        for _ in range(20):
            begun = time.perf_counter()
            page = find_history(store, project, query, after)
            found.setdefault(name, []).append((time.perf_counter() - begun) * 1000)
            after = page.next
            if after is None:
                break
    return found


def measure(path: Path, judgements: int, prompts: int) -> dict[str, object]:
    opened = [timed(lambda: Store.open(path).close()) for _ in range(3)]
    with Store.open(path) as store:
        (project,) = store.projects.all()
        asked = queries(Words())
        searched = {q: min(timed(lambda q=q: find_history(store, project, HistoryQuery(text=q))) for _ in range(2)) for q in asked}
        paged = pages(store, project)
        counted = timed(lambda: store.judgements.counts(project.id))
        chats = [timed(lambda q=q: store.conversations.recent(project.id, search=q, limit=50)) for q in asked]
        saved = saving(store, project, prompts)
    slow = sorted(searched.items(), key=lambda item: -item[1])[:3]
    every = [value for values in paged.values() for value in values]
    return {
        "judgements": judgements,
        "prompts": prompts,
        "file_mib": round(path.stat().st_size / 2**20),
        "open_ms": round(statistics.median(opened), 1),
        "store_p95_ms": p95(saved),
        "store_median_ms": round(statistics.median(saved), 2),
        "search_p95_ms": p95(list(searched.values())),
        "search_slowest_ms": {query: round(value, 1) for query, value in slow},
        "page_p95_ms": p95(every),
        "page_worst_ms": {name: round(max(values), 1) for name, values in paged.items()},
        "counts_ms": round(counted, 1),
        "chat_search_p95_ms": p95(chats),
    }


def main() -> int:
    args = arguments()
    with TemporaryDirectory() as folder:
        path = (args.keep or Path(folder)) / "feedback.db"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            begun = time.perf_counter()
            with Store.open(path) as store:
                fill(store, store.projects.create("Bench"), args.judgements, args.prompts)
            print(f"made in {time.perf_counter() - begun:.0f} s, {path.stat().st_size / 2**20:.0f} MiB", file=sys.stderr)
        found = measure(path, args.judgements, args.prompts)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=HERE, check=True).stdout.strip()
    held = {name: found[name] <= limit for name, limit in LIMITS_MS.items()}  # type: ignore[operator]
    row = {"bench": "store", "commit": commit, "cpu": platform.machine(), "cores": os.cpu_count(), **found, "holds": held}
    print(json.dumps(row, indent=1))
    append_jsonl(HERE / "results.jsonl", row)
    return 0 if all(held.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
