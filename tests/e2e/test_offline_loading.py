"""A downloaded model is loaded without asking the Hub for anything, online as offline: nobody waits for calls that must fail."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub_server import HubServer


@pytest.mark.slow
@pytest.mark.parametrize("switch", [(), ("--offline",)], ids=["online", "offline"])
def test_nobody_asks_the_hub_for_what_is_here(tiny_model, tmp_path, switch):
    files = {file.name: file.read_bytes() for file in Path(tiny_model.path).iterdir() if file.is_file()}
    with HubServer() as server:
        server.add("amina/tiny", files)
        environment = {**os.environ, "HF_ENDPOINT": server.url, "RLHF_DESKTOP_STATE": str(tmp_path / "state")}
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            environment.pop(name, None)

        def run(*words: str) -> dict:
            command = [sys.executable, "-m", "rlhf_desktop", "--workspace", str(tmp_path / "ws"), *words, "--json"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        run("models", "pull", "amina/tiny")
        seen = len(server.seen)
        assert seen > 0
        assert run(*switch, "chat", "--model", "tiny", "--prompt", "Hello", "--max-new-tokens", "1")
        assert len(server.seen) == seen
