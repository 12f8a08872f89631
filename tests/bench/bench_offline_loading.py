"""How long a downloaded model takes to load and answer, offline beside online.

    make bench ARGS="offline_loading [--rounds 5]"

A tiny model comes from a Hub on loopback; then `chat` is run online and offline in turns, so that what else the computer does
weighs on both. A row with the medians is appended to results.jsonl; it holds if offline takes at most 1.2 times as long.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.bench.results import keep  # noqa: E402
from tests.hub_server import HubServer  # noqa: E402
from tests.tiny import make_tiny_model  # noqa: E402

MOST = 1.2


def main() -> None:
    """Pull once, then take turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, HubServer() as server:
        model = make_tiny_model(Path(folder) / "model")
        server.add("amina/tiny", {file.name: file.read_bytes() for file in Path(model.path).iterdir() if file.is_file()})
        environment = {**os.environ, "HF_ENDPOINT": server.url, "RLHF_DESKTOP_STATE": str(Path(folder) / "state")}

        def seconds(*words: str) -> float:
            command = [sys.executable, "-m", "rlhf_desktop", "--workspace", str(Path(folder) / "workspace"), *words, "--json"]
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, env=environment)
            return time.perf_counter() - began

        seconds("models", "pull", "amina/tiny")
        chat = ("chat", "--model", "tiny", "--prompt", "Hello", "--max-new-tokens", "1")
        seconds(*chat)  # the first one fills the disk's cache
        pairs = [(seconds(*chat), seconds("--offline", *chat)) for _ in range(options.rounds)]
    online, offline = (statistics.median(times) for times in zip(*pairs, strict=True))
    row = {"bench": "offline_loading", "online_s": online, "offline_s": offline, "ratio": offline / online}
    row["holds"] = offline <= MOST * online
    keep(row)
    print(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()
