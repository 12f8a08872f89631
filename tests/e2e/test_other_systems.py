"""Windows and macOS, imitated: the program is imported and run there by processes that lack what those systems lack.

`tests/imitated/sitecustomize.py` says what is imitated; packaging/windows.md and macos.md, what that cannot show.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.loop import CommandLine, write_examples, write_prompts

ROOT = Path(__file__).resolve().parents[2]
SHORT = ["--set", "epochs=1", "--set", "lora_rank=4", "--set", "dtype=float32"]
IMPORT_ALL = """
import importlib, pkgutil, rlhf_desktop
names = [m.name for m in pkgutil.walk_packages(rlhf_desktop.__path__, "rlhf_desktop.") if not m.name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


@pytest.fixture(params=["win32", "darwin"])
def environment(request, tmp_path):
    """What a process of the imitated system gets."""
    return {
        "IMITATED_SYSTEM": request.param,
        "IMITATED_DISK": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "imitated"), str(ROOT)]),
        "RLHF_DESKTOP_STATE": str(tmp_path / "state"),
        "QT_QPA_PLATFORM": "offscreen",
    }


def python(environment, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"__package__ = 'rlhf_desktop'\n{code}", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, encoding="utf-8", check=False)


def test_every_module_is_imported(environment):
    done = python(environment, IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 300


def test_the_imitation_lacks_what_the_system_lacks(environment):
    code = "import os, sys, resource\nprint(sys.platform, hasattr(os, 'fork'), hasattr(os, 'sched_getaffinity'))"
    tried = python(environment, code)
    if environment["IMITATED_SYSTEM"] == "win32":
        assert "No module named 'resource'" in tried.stderr
    else:
        assert tried.stdout.split() == ["darwin", "True", "False"]


def test_the_imitated_windows_renames_nothing_that_is_open(environment):
    code = "import os, pathlib\nfolder = pathlib.Path(os.environ['IMITATED_DISK'], 'held')\nfolder.mkdir()"
    held = python(environment, f"{code}\nheld = (folder / 'file').open('w')\nfolder.rename(folder.with_name('other'))")
    assert ("PermissionError: [Errno 13] in use by process" in held.stderr) == (environment["IMITATED_SYSTEM"] == "win32")


def test_the_program_teaches_answers_and_ends_a_run(environment, tiny_model):
    """From the queue through supervisor and trainer to an adapter, which then answers; a second run is ended from outside."""
    disk = Path(environment["IMITATED_DISK"])
    cli = CommandLine(disk / "workspace", model="tiny", environment=environment)
    cli("models", "add", tiny_model.path, "--name", "tiny")
    cli("feedback", "import", write_examples(disk / "examples.jsonl", 8))
    taught = cli("train", "sft", *SHORT, "--title", "Taught")
    assert Path(taught["adapter"], "adapter_model.safetensors").is_file()
    assert taught["metrics"]["peak_rss_bytes"] > 100_000_000
    prompts = write_prompts(disk / "prompts.jsonl", 2)
    words = ["--prompts", prompts, "-k", "2", "--max-new-tokens", "4", "--adapter", "Taught"]
    assert cli("generate", *words, "--out", disk / "answers.jsonl")["completions"] == 4
    queued = cli("train", "sft", *SHORT, "--set", "epochs=100", "--detach", "--title", "Ended")
    done = python(environment, END_WHEN_IT_RUNS, str(cli.workspace), queued["run"])
    assert done.stdout.split() == ["interrupted", "SIGKILL", "False"], done.stderr
    assert {run["title"]: run["state"] for run in cli("runs", "list")["runs"]} == {"Taught": "done", "Ended": "interrupted"}


END_WHEN_IT_RUNS = """
import pathlib, sys, time
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import is_alive, kill_group
from rlhf_desktop.jobs.queue import Queue
queue = Queue(Workspace(pathlib.Path(sys.argv[1])))
run = queue.find(sys.argv[2])
while run.state().state in ("queued", "starting"):
    time.sleep(0.05)
worker = run.status().worker
run.append_control("pause")
kill_group(worker.pid)
while run.status().state == "running":
    time.sleep(0.05)
status = run.status()
print(status.state, status.signal, is_alive(worker))
"""


def test_the_probe_and_the_template_process_answer(environment):
    probed = subprocess.run(
        [sys.executable, "-m", "rlhf_desktop.worker", "probe"], env={**os.environ, **environment}, capture_output=True, check=False
    )
    assert probed.returncode == 0, probed.stderr
    assert b'"cores"' in probed.stdout
    code = "from rlhf_desktop.inference.sandbox import render_template\nprint(render_template('{{ 1 + 1 }}', {}))"
    done = python(environment, code)
    assert done.stdout == "2\n", done.stderr


def test_an_endless_template_is_stopped(environment):
    code = "import sys\nfrom rlhf_desktop.inference.sandbox import TemplateRenderer\nTemplateRenderer(0.5).render(sys.argv[1], {})"
    done = python(environment, code, "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}")
    assert "ModelTrouble: The chat template of this model takes too long" in done.stderr
