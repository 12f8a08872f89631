"""A chat and a run at once on the same cores: what is left of each one's speed?

    make bench ARGS="chat_beside_run [--rounds 4] [--window-s 10] [--before | --alone]"

A run on the starter model (written examples) and a chat worker, both as the program starts them. Each round has three windows: the
run alone, both, the chat alone (the run is suspended meanwhile). A share is the median of both over the median of alone: of the
run's updates a second, of the chat's tokens a second. `--before` lets waiting threads spin as long as OpenMP has it by itself;
`--alone` sets both ways of waiting side by side, one process at a time: none may be slower for it.

About five minutes on two quiet cores; rounds are kept beside the model, so a second call goes on. A row goes to results.jsonl.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from rlhf_desktop.core.files import append_jsonl, read_jsonl  # noqa: E402
from rlhf_desktop.core.ids import new_id  # noqa: E402
from rlhf_desktop.core.paths import Workspace  # noqa: E402
from rlhf_desktop.core.platform import kill_group, start_child  # noqa: E402
from rlhf_desktop.core.protocol import Sampling  # noqa: E402
from rlhf_desktop.core.runs import ModelRef, RunConfig  # noqa: E402
from rlhf_desktop.feedback.snapshot import Demonstration, write_snapshot  # noqa: E402
from rlhf_desktop.hub.library import Library  # noqa: E402
from rlhf_desktop.jobs.chat_client import ChatWorker  # noqa: E402
from rlhf_desktop.jobs.commands import package_parent, worker_command, worker_environment  # noqa: E402
from tests.bench.results import commit, keep  # noqa: E402

KEPT = Path(tempfile.gettempdir()) / "rlhf-desktop-bench-beside"
SPINNING = {"GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"}  # the defaults of GCC's and of LLVM's OpenMP
QUESTION = [{"role": "user", "content": "Tell me a long story about a river, a boat and an old man."}]
ANSWER = Sampling(max_new_tokens=32)
TEXT = "The parcel was late, and I would like to know what you will do about it now, please. " * 4


def write_run(folder: Path, base: ModelRef) -> None:
    """A long run on examples of one length, so that each update takes as long as any other."""
    folder.mkdir()
    rows = [Demonstration(prompt=[{"role": "user", "content": f"{n:02d} {TEXT}"}], completion=TEXT) for n in range(64)]
    settings = {"epochs": 20, "batch_size": 2, "watched_prompts": 0}
    config = RunConfig(
        run_id=folder.name, created="", title="Beside", project_id="bench", algorithm="sft", base=base, settings=settings,
        data_sha256=write_snapshot(folder / "data.jsonl", rows),
    )  # fmt: skip
    (folder / "run.json").write_text(config.model_dump_json())


class Pair:
    """A run and a chat in processes of their own."""

    def __init__(self, root: Path, environment: dict[str, str]) -> None:
        base = Library(Workspace(KEPT / "workspace").ensure()).ensure_starter()
        self.folder = root / new_id()
        write_run(self.folder, base)
        with (root / "log.txt").open("wb") as log:
            command = [*worker_command("train"), str(self.folder)]
            self.trainer = start_child(command, cwd=package_parent(), env=environment, output=log)
        self.process = psutil.Process(self.trainer.pid)
        self.chat = ChatWorker(env=environment)
        self.chat.load(base)
        while len(self.updates()) < 4:  # the first ones are slower
            assert self.trainer.poll() is None, (root / "log.txt").read_text()
            time.sleep(0.2)
        self.talk(0.0)

    def updates(self) -> list[float]:
        """When each update ended, in seconds since the epoch."""
        file = self.folder / "events.jsonl"
        return [event["time"] for event in read_jsonl(file) if event["type"] == "metrics"] if file.exists() else []

    def pace(self, since: float) -> float:
        """Updates a second from then to now: from the first that ended in that time to the last."""
        ended = [at for at in self.updates() if at >= since]
        return (len(ended) - 1) / (ended[-1] - ended[0]) if len(ended) > 2 else len(ended) / (time.time() - since)

    def talk(self, seconds: float) -> float:
        """Tokens a second of answers asked for one after the other; the last begins within so many seconds."""
        began = time.monotonic()
        tokens = 0
        while not tokens or time.monotonic() - began < seconds:
            ((answer,),) = self.chat.generate([QUESTION], sampling=ANSWER, seed=1, on_reply=lambda _: None)
            tokens += answer.tokens
        return tokens / (time.monotonic() - began)

    def run_alone(self, window_s: float) -> float:
        """The run's pace while the chat is silent."""
        at = time.time()
        time.sleep(window_s)
        return self.pace(at)

    def round(self, window_s: float) -> dict[str, float]:
        """The three windows."""
        figures = {"run_alone": self.run_alone(window_s)}
        at = time.time()
        figures["chat_beside"] = self.talk(window_s)
        figures["run_beside"] = self.pace(at)
        self.process.suspend()
        figures["chat_alone"] = self.talk(window_s)
        self.process.resume()
        return figures

    def close(self) -> None:
        """End both."""
        kill_group(self.trainer.pid)
        self.trainer.wait()
        self.chat.close()


def shares(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Medians over the rounds, and what is left of each."""
    middle = {
        name: statistics.median(row[name] for row in rounds) for name in ("run_alone", "run_beside", "chat_alone", "chat_beside")
    }
    return {
        **{name: round(value, 3) for name, value in middle.items()},
        "chat_share": round(middle["chat_beside"] / middle["chat_alone"], 3),
        "run_share": round(middle["run_beside"] / middle["run_alone"], 3),
    }


class Rivals:
    """Both ways of waiting, one process at a time."""

    def __init__(self, root: Path, environment: dict[str, str]) -> None:
        self.pairs: dict[str, Pair] = {}
        for name, spin in (("ours", {}), ("spinning", SPINNING)):
            (root / name).mkdir()
            self.pairs[name] = Pair(root / name, {**environment, **spin})
            self.pairs[name].process.suspend()
        self._turn = 0

    def round(self, window_s: float) -> dict[str, float]:
        """Four windows: each run, each chat; who is first changes from round to round."""
        self._turn += 1
        names = sorted(self.pairs, reverse=self._turn % 2 == 0)
        figures = {}
        for name in names:
            self.pairs[name].process.resume()
            figures[f"run_{name}"] = self.pairs[name].run_alone(window_s)
            self.pairs[name].process.suspend()
        for name in names:
            figures[f"chat_{name}"] = self.pairs[name].talk(window_s)
        return figures

    def close(self) -> None:
        """End all."""
        for pair in self.pairs.values():
            pair.close()


def ratios(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Medians over the rounds of ours over spinning: 1 is as fast, less is slower."""
    return {
        f"{kind}_ratio": round(statistics.median(row[f"{kind}_ours"] / row[f"{kind}_spinning"] for row in rounds), 3)
        for kind in ("run", "chat")
    }


def main() -> None:
    """Measure the rounds that are not there yet, and say what is left of each speed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--window-s", type=float, default=10.0)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--before", action="store_const", const="spinning", dest="variant", default="ours")
    kind.add_argument("--alone", action="store_const", const="alone", dest="variant")
    options = parser.parse_args()
    environment = {**worker_environment(), **(SPINNING if options.variant == "spinning" else {})}
    environment.pop("OMP_NUM_THREADS", None)
    KEPT.mkdir(exist_ok=True)
    asked = {"commit": commit(), "variant": options.variant, "window_s": options.window_s}
    file = KEPT / "rounds.jsonl"
    rounds = [row for row in read_jsonl(file) if asked.items() <= row.items()] if file.exists() else []
    if len(rounds) < options.rounds:
        with tempfile.TemporaryDirectory() as root:
            pair = (Rivals if options.variant == "alone" else Pair)(Path(root), environment)
            try:
                while len(rounds) < options.rounds:
                    rounds.append({**asked, **pair.round(options.window_s)})
                    append_jsonl(file, rounds[-1])
                    print(json.dumps(rounds[-1]), flush=True)
            finally:
                pair.close()
    figures = ratios(rounds) if options.variant == "alone" else shares(rounds)
    row = {"bench": "chat_beside_run", "variant": options.variant, "rounds": len(rounds), "threads": os.cpu_count(), **figures}
    keep(row)
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
