"""A downloaded model loads as fast offline as online: nobody waits for calls that must fail."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.hub_server import HubServer

ROUNDS = 5
pytestmark = pytest.mark.slow


def test_loading_offline_takes_no_longer_than_online(tiny_model, tmp_path):
    files = {file.name: file.read_bytes() for file in Path(tiny_model.path).iterdir() if file.is_file()}
    with HubServer() as server:
        server.add("amina/tiny", files)
        environment = {**os.environ, "HF_ENDPOINT": server.url, "RLHF_DESKTOP_STATE": str(tmp_path / "state")}
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            environment.pop(name, None)

        def run(*words: str) -> float:
            command = [sys.executable, "-m", "rlhf_desktop", "--workspace", str(tmp_path / "ws"), *words, "--json"]
            start = time.monotonic()
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)
            return time.monotonic() - start

        run("models", "pull", "amina/tiny")
        seen = len(server.seen)
        chat = ("chat", "--model", "tiny", "--prompt", "Hello", "--max-new-tokens", "1")
        run(*chat)  # the first one fills the disk's cache
        times: dict[str, list[float]] = {"online": [], "offline": []}
        for _ in range(ROUNDS):  # one after the other, so that what else the computer does weighs on both
            times["online"].append(run(*chat))
            times["offline"].append(run("--offline", *chat))
        assert len(server.seen) == seen  # nobody asked the Hub for what is here
    online, offline = (statistics.median(times[kind]) for kind in ("online", "offline"))
    print(f"online {online:.2f} s, offline {offline:.2f} s")
    assert offline <= 1.2 * online, times
