"""A working day without a network: every process of it under `unshare -rn`, and under strace with offline on.

On a tiny model with the slow tests; on the starter model, whose libraries compute in other ways, by hand (`-m acceptance`, or
`make bench ARGS="offline_day"`, which keeps a row).
"""

import importlib.util
import shutil
import subprocess

import pytest

from rlhf_desktop.hub.library import STARTER_PACKAGE
from tests.e2e.offline_day import STRACE, UNSHARE, day, outside, token_free, traced, words_stay_where_feedback_is

models = pytest.mark.parametrize(
    "which",
    [
        pytest.param("tiny", marks=pytest.mark.slow),
        pytest.param("starter", marks=[pytest.mark.acceptance, pytest.mark.timeout(5400)]),
    ],
)


@pytest.fixture
def model(which, tiny_model):
    if which == "starter" and importlib.util.find_spec(STARTER_PACKAGE) is None:
        pytest.skip("the starter model's package is not installed")
    return tiny_model.path if which == "tiny" else "starter"


@models
@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare here")
def test_without_any_network(model, tmp_path):
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("namespaces are not allowed here")
    day(tmp_path, model, UNSHARE)
    token_free(tmp_path)
    words_stay_where_feedback_is(tmp_path)


@models
@pytest.mark.skipif(not shutil.which("strace"), reason="no strace here")
def test_the_system_sees_no_connection(model, tmp_path):
    traces = tmp_path / "traces"
    traces.mkdir()
    prefix = [*STRACE, str(traces / "t")]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("tracing is not allowed here")
    (tmp_path / "day").mkdir()
    day(tmp_path / "day", model, prefix, "--offline")
    calls = traced(traces)
    assert any("AF_UNIX" in call for call in calls)  # the window's own: tracing works
    assert outside(calls) == []
    token_free(tmp_path / "day")


@pytest.mark.slow
def test_the_pattern_finds_what_it_looks_for():
    v4 = 'connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.7")}, 16) = -1'
    v6 = 'connect(3, {sa_family=AF_INET6, sin6_port=htons(80), inet_pton(AF_INET6, "2001:db8::1", &sin6_addr)}, 28)'
    own = 'connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = 0'
    local = 'connect(3, {sa_family=AF_UNIX, sun_path="/run/x"}, 110) = 0'
    assert outside([v4, v6, own, local]) == [v4, v6]
