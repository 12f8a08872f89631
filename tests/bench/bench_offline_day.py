"""The working day without a network, on the starter model: what its processes would have sent elsewhere.

    make bench ARGS="offline_day [--under strace] [--model tiny]"

The day is that of tests/e2e/offline_day.py: chat and label in a window, train all four, evaluate, export. Under unshare there is no
network to be had, and everything must work; under strace, with offline on, every call to connect, send or bind is looked at. A row
is appended to results.jsonl; it holds if the day came to its end, no call went beyond loopback and local sockets, a token in the
environment is in no file, and words of feedback are only where the guide says. On two quiet cores it takes some twenty minutes.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.bench.results import keep  # noqa: E402
from tests.e2e.offline_day import STRACE, UNSHARE, day, outside, token_free, traced, words_stay_where_feedback_is  # noqa: E402
from tests.tiny import make_tiny_model  # noqa: E402


def main() -> None:
    """One day, one row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--under", choices=("unshare", "strace"), default="unshare")
    parser.add_argument("--model", choices=("starter", "tiny"), default="starter")
    options = parser.parse_args()
    row: dict = {"bench": "offline_day", "model": options.model, "under": options.under}
    with tempfile.TemporaryDirectory() as folder:
        root, traces = Path(folder, "day"), Path(folder, "traces")
        root.mkdir()
        traces.mkdir()
        model = "starter" if options.model == "starter" else make_tiny_model(Path(folder) / "model").path
        began = time.perf_counter()
        if options.under == "strace":
            day(root, model, [*STRACE, str(traces / "t")], "--offline")
            calls = traced(traces)
            row |= {"processes": len(list(traces.iterdir())), "calls": len(calls), "outside": len(outside(calls))}
        else:
            day(root, model, UNSHARE)
        row["day_s"] = time.perf_counter() - began
        token_free(root)
        words_stay_where_feedback_is(root)
    row["holds"] = not row.get("outside")
    keep(row)
    print(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()
