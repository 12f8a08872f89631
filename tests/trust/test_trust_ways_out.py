"""Offline, nothing leaves: every way out that we know is tried in each kind of process of the program, and packets are counted."""

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from rlhf_desktop.core import kernel_guard, offline
from rlhf_desktop.core.leaving import CHECKS, is_loopback
from tests.trust.rows import KNOWN_OUT, OUT
from tests.trust.ways_out import IN_WINDOW, LAY_OUT, UNHELD, WAYS

ROOT = Path(__file__).parents[2]
STAYS = {"abstract-local-socket", "qt-page", "asyncio-server"}  # end well and lead nowhere


@cache
def namespaces() -> tuple[str, ...]:
    """What starts a process in a network of its own; nothing where that is not allowed."""
    for command in (("unshare", "-n"), ("unshare", "-rn")):
        if shutil.which("unshare") and shutil.which("ip"):
            laid_out = subprocess.run([*command, "sh", "-c", LAY_OUT, "sh", "true"], capture_output=True, check=False)
            if laid_out.returncode == 0:
                return (*command, "sh", "-c", LAY_OUT, "sh")
    return ()


def tried(kind: str, switch: str) -> dict:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "RES_OPTIONS": "timeout:1 attempts:1", "HF_HUB_OFFLINE": "0"}
    command = [*namespaces(), sys.executable, "-m", "tests.trust.ways_out", kind, switch]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(sys.platform != "linux", reason="packets are counted on Linux")
@pytest.mark.trust("ways-out", 1)
@pytest.mark.parametrize("kind", ["window", "cli", "worker"])
def test_nothing_leaves(kind, trust):
    found = tried(kind, "on")
    trust.tried += len(found["ways"])
    for name in (name for name, seen in found["ways"].items() if seen["packets"]):
        trust.found(KNOWN_OUT if name in UNHELD else OUT, f"{kind}: {name}")
    held_by_kernel = kind == "worker" and kernel_guard.is_possible()
    unheld = set() if held_by_kernel else UNHELD
    assert len(found["ways"]) >= 40
    assert {name for name, seen in found["ways"].items() if seen["packets"]} - unheld == set()
    assert {name for name, seen in found["ways"].items() if seen["end"] == "done"} - unheld - STAYS == set()
    assert found["proxied"] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="packets are counted on Linux")
def test_what_the_guard_holds_back_would_leave_without_it():
    if not namespaces():
        pytest.skip("networks of their own are not allowed here")
    found = tried("window", "off")
    assert len([name for name, seen in found["ways"].items() if seen["packets"]]) > 40
    assert found["proxied"] > 10


def test_the_ways_are_many():
    assert len(WAYS) - len(IN_WINDOW) >= 40
    assert set(WAYS) > UNHELD
    assert f"{len(WAYS)} ways out" in (ROOT / "resources" / "guide" / "privacy.md").read_text("utf-8")


# --- what is taken for what


class Liar(str):
    def strip(self, *_):
        return "127.0.0.1"


@pytest.mark.parametrize(
    "host", [Liar("192.0.2.7"), b"192.0.2.7", bytearray(b"192.0.2.7"), "::ffff:192.0.2.7", "", "0", 3232235527, object()]
)
def test_what_is_no_loopback(host):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("event", "arguments", "where"),
    [
        ("subprocess.Popen", ("curl", ["curl", "x"], None, None), "curl"),
        ("subprocess.Popen", ("/usr/bin/WGET.EXE", ["x"], None, None), "wget"),
        ("subprocess.Popen", ("/bin/sh", ["sh", "-c", "cd /tmp && nohup wget x"], None, None), "wget"),
        ("subprocess.Popen", ("bash", ["bash", "-c", "cat < /dev/tcp/example.com/80"], None, None), "bash"),
        ("subprocess.Popen", ("sudo", ["sudo", "-n", "env", "A=1", "ssh", "x"], None, None), "ssh"),
        ("subprocess.Popen", (sys.executable, [sys.executable, "-m", "pip", "install", "x"], None, None), "pip"),
        ("subprocess.Popen", (sys.executable, [sys.executable, "-m", "rlhf_desktop", "--project", "mail"], None, None), None),
        ("subprocess.Popen", ("grep", ["grep", "curl", "/home/me/git"], None, None), None),
        ("subprocess.Popen", ("/bin/sh", ["sh", "-c", "echo curl"], None, None), None),
        ("os.system", (b"true; exec nc x 1",), "nc"),
        ("webbrowser.open", ("https://example.com/",), "https://example.com/"),
        ("webbrowser.open", ("http://127.0.0.1:8080/",), None),
        ("webbrowser.open", ("file:///tmp/report.html",), None),
        ("ctypes.dlsym", (None, "sendto"), "wherever C's sendto leads"),
        ("ctypes.dlsym", (None, "strlen"), None),
    ],
)
def test_what_would_leave(event, arguments, where):
    assert CHECKS[event](arguments) == where


def test_proxies_come_back_with_the_network(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:3128")
    monkeypatch.setenv("NO_PROXY", "intranet")
    offline.set_guard(True)
    offline.set_guard(True)
    assert "https_proxy" not in os.environ
    assert os.environ["NO_PROXY"] == "*"
    offline.set_guard(False)
    assert os.environ["https_proxy"] == "http://127.0.0.1:3128"
    assert os.environ["NO_PROXY"] == "intranet"
    assert "no_proxy" not in os.environ
