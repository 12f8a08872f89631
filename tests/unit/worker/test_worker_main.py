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
