import subprocess
import sys

from rlhf_desktop.core.commands import package_parent, worker_command, worker_environment

STRAY = """
import os, sys
from rlhf_desktop.worker.__main__ import private_stdout
protocol = private_stdout()
print("stray", flush=True)
os.write(1, b"from C++")
protocol.write(b"reply\\n")
protocol.flush()
"""


def test_a_stray_print_cannot_reach_the_protocol():
    done = subprocess.run([sys.executable, "-c", STRAY], cwd=package_parent(), capture_output=True, check=True)
    assert done.stdout == b"reply\n"
    assert done.stderr == b"stray\nfrom C++"


def test_an_unknown_job_is_wrong_usage():
    command = [*worker_command("probe")[:-1], "dance"]
    done = subprocess.run(command, cwd=package_parent(), env=worker_environment(), capture_output=True)
    assert done.returncode == 2
    assert b"chat|train|probe|convert" in done.stderr


WAITS = """
import importlib, os, sys
from rlhf_desktop.worker import __main__ as worker
importlib.import_module = lambda name: print(name, *(os.environ.get(each) for each in worker.SHORT_WAITS), "torch" in sys.modules)
try:
    worker.main(["train"])
except AttributeError:  # the stand-in is no module
    pass
"""


def waits(**environment: str) -> list[str]:
    """The job a worker would import, what is said to OpenMP by then, and whether torch is there already."""
    clean = {name: value for name, value in worker_environment().items() if not name.startswith(("OMP", "GOMP", "KMP"))}
    command = [sys.executable, "-c", WAITS]
    done = subprocess.run(command, cwd=package_parent(), env={**clean, **environment}, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_threads_that_wait_give_way_soon_so_that_a_chat_and_a_run_share_the_cores():
    assert waits() == ["rlhf_desktop.worker.train", "1000", "1", "False"]


def test_what_the_user_said_of_waiting_stands():
    assert waits(OMP_WAIT_POLICY="ACTIVE")[1:3] == ["None", "None"]
    assert waits(GOMP_SPINCOUNT="7")[1:3] == ["7", "1"]
