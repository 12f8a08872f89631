import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys

import pytest

from rlhf_desktop.core import offline
from rlhf_desktop.core.commands import package_parent, worker_command, worker_environment
from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.offline import NetworkRule, OfflineRefused, choose_offline, is_loopback, network_rule
from rlhf_desktop.core.paths import Workspace

OUTSIDE = "192.0.2.7"  # a documentation address: nobody is there


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setattr(offline.platformdirs, "site_config_dir", lambda *a, **k: str(tmp_path / "etc"))
    return Workspace(tmp_path / "ws").ensure()


@pytest.fixture
def guarded():
    offline.set_guard(True)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True), (b"localhost", True),
     (None, True), ("localhost.example.com", False), ("0.0.0.0", False), ("10.0.0.1", False), ("::", False), ("", False),
     ("2130706433", False), ("127.0.0.1.example.com", False)],
)  # fmt: skip
def test_what_counts_as_this_computer(host, own):
    assert is_loopback(host) is own


def sock(family=socket.AF_INET, kind=socket.SOCK_STREAM):
    return contextlib.closing(socket.socket(family, kind))


@pytest.mark.parametrize("name", ["connect", "connect_ex", "six", "send", "bind", "name", "old_name"])
def test_nothing_leaves(guarded, name):
    def reach():
        with sock() as tcp, sock(kind=socket.SOCK_DGRAM) as udp, sock(socket.AF_INET6) as six:
            {
                "connect": lambda: tcp.connect((OUTSIDE, 80)),
                "connect_ex": lambda: tcp.connect_ex((OUTSIDE, 80)),
                "six": lambda: six.connect(("2001:db8::1", 80)),
                "send": lambda: udp.sendto(b"x", (OUTSIDE, 53)),
                "bind": lambda: tcp.bind(("0.0.0.0", 0)),
                "name": lambda: socket.getaddrinfo("example.com", 443),
                "old_name": lambda: socket.gethostbyname("example.com"),
            }[name]()

    with pytest.raises(OfflineRefused, match="Offline is on") as caught:
        reach()
    assert isinstance(caught.value, AppError)
    assert isinstance(caught.value, OSError)  # what libraries catch
    assert caught.value.hint


def test_this_computer_is_reached(guarded, listener, tmp_path):
    with socket.create_connection(listener.getsockname(), timeout=5):
        pass
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        one.bind(str(tmp_path / "s"))
        one.listen()
        other.connect(str(tmp_path / "s"))
    assert socket.getaddrinfo("localhost", 80)


def test_the_guard_follows_the_switch(listener):
    offline.set_guard(True)
    offline.set_guard(False)
    assert not offline.is_offline()
    assert offline.OFFLINE not in os.environ
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("0.0.0.0", 0))
    offline.check_online("example.com")
    offline.set_guard(True)
    with pytest.raises(OfflineRefused):
        offline.check_online("example.com")


PROBE = f"""
import socket, sys
from rlhf_desktop.core import offline
offline.begin()
try:
    socket.create_connection(({OUTSIDE!r}, 80), timeout=1)
except offline.OfflineRefused:
    sys.exit(42)
"""


def test_a_worker_is_started_with_the_guard_and_without_tokens(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    environment = worker_environment()
    assert "hf_canary" not in environment.values()
    assert environment["HF_HUB_DISABLE_TELEMETRY"] == "1"
    done = subprocess.run([sys.executable, "-c", PROBE], env=environment, cwd=package_parent(), check=False)
    assert done.returncode == 42


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace here")
def test_the_system_sees_no_attempt_either(tmp_path):
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-e", "trace=connect,sendto", "-o", str(trace), sys.executable, "-c", PROBE]
    done = subprocess.run(command, env=worker_environment(), cwd=package_parent(), capture_output=True, check=False)
    if done.returncode != 42 and b"ptrace" in done.stderr:
        pytest.skip("tracing is not allowed here")
    assert done.returncode == 42
    assert OUTSIDE not in trace.read_text()
    assert "sin_addr" not in trace.read_text()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare here")
def test_the_probe_works_without_any_network():
    command = ["unshare", "-rn", *worker_command("probe")]
    done = subprocess.run(command, env=worker_environment(), cwd=package_parent(), capture_output=True, check=False)
    if b"unshare" in done.stderr:
        pytest.skip("namespaces are not allowed here")
    assert json.loads(done.stdout)["device"]


# --- who decides


def test_the_switch_is_kept(workspace):
    assert network_rule(workspace) == NetworkRule(False, False, "Chosen in Settings.")
    choose_offline(workspace, True)
    assert network_rule(workspace).offline
    assert not network_rule(workspace).locked
    assert network_rule(workspace, asked=True).offline
    choose_offline(workspace, False)
    assert not network_rule(workspace).offline


@pytest.mark.parametrize("place", ["ws/policy.json", "etc/policy.json"])
def test_a_policy_file_locks(workspace, tmp_path, place):
    file = tmp_path / place
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"v": 1, "offline": True, "reason": "Patient data."}))
    rule = network_rule(workspace)
    assert (rule.offline, rule.locked) == (True, True)
    assert "Patient data." in rule.why
    choose_offline(workspace, False)
    assert network_rule(workspace).offline


def test_a_policy_for_one_project(workspace):
    (workspace.root / "policy.json").write_text(json.dumps({"v": 1, "offline_projects": ["Clinic"]}))
    assert network_rule(workspace, "clinic").locked
    assert "Clinic" not in network_rule(workspace, "Support").why
    assert not network_rule(workspace, "Support").offline


@pytest.mark.parametrize("content", ["{", '{"offline": "perhaps"}', '{"v": 1, "offlin": true}'])
def test_a_policy_that_cannot_be_read_forbids(workspace, content):
    (workspace.root / "policy.json").write_text(content)
    rule = network_rule(workspace)
    assert (rule.offline, rule.locked) == (True, True)
    assert "cannot be read" in rule.why


def test_a_damaged_switch_is_the_safe_side(workspace):
    (workspace.root / "network.json").write_text("{")
    assert network_rule(workspace).offline
