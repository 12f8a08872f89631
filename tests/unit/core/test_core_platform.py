import ast
import errno
import io
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from rlhf_desktop.core import platform
from rlhf_desktop.core.commands import package_parent, worker_environment
from rlhf_desktop.core.platform import (
    FileLock,
    ProcessRef,
    free_disk_bytes,
    is_alive,
    kill_group,
    process_ref,
    remove_tree,
    rename,
    replace,
    signal_name,
    start_child,
)

WAIT = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]


def test_a_zombie_is_dead_and_so_is_a_number_without_a_process() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        ref = process_ref(child.pid)
        assert is_alive(ref)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, but still our zombie
        assert not is_alive(ref)
    assert process_ref(child.pid) is None
    assert not is_alive(ref)
    assert not is_alive(None)


def test_start_time_tells_processes_with_the_same_number_apart() -> None:
    me = process_ref()
    assert is_alive(me)
    assert not is_alive(me.model_copy(update={"start_time": me.start_time - 60, "boot": "", "ticks": 0}))


def test_a_lock_excludes_and_says_its_holder(tmp_path) -> None:
    one, two = FileLock(tmp_path / "a.lock"), FileLock(tmp_path / "a.lock")
    assert two.holder() is None
    assert one.acquire()
    assert one.acquire()  # still ours
    one.say(what="queue")
    assert not two.acquire()
    assert two.holder()["pid"] == os.getpid()
    assert two.holder()["what"] == "queue"
    one.release()
    assert two.holder() is None
    with two.held():
        assert not one.acquire()
    assert one.acquire()
    one.release()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"[1]", b"\xff", b"7", b'{"pid": 4194303, "start_time": 1.0}', b'{"pid": -1, "start_time": 1.0}',
        b'{"pid": 1}', b'{"pid": "x", "start_time": 1.0}', b'{"pid": 1e30, "start_time": null}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_dead_or_garbled_holder_is_nobody(tmp_path, content: bytes) -> None:
    (tmp_path / "a.lock").write_bytes(content)
    assert FileLock(tmp_path / "a.lock").holder() is None


def test_a_folder_where_a_lock_should_be_has_no_holder(tmp_path) -> None:
    (tmp_path / "a.lock").mkdir()
    assert FileLock(tmp_path / "a.lock").holder() is None


@pytest.mark.parametrize("pid", [-1, 0, 2**31, 10**30])
def test_a_number_that_no_process_has_is_dead(pid: int) -> None:
    assert not is_alive(ProcessRef(pid=pid, start_time=1.0))


def test_a_child_that_was_given_the_lock_keeps_it(tmp_path) -> None:
    mine, other = FileLock(tmp_path / "a.lock"), FileLock(tmp_path / "a.lock")
    mine.acquire()
    child = start_child(WAIT, cwd=tmp_path, env=dict(os.environ), stdin=subprocess.PIPE, output=subprocess.PIPE, held_lock=mine)
    with child:
        assert child.stdout.readline() == b"up\n"
        mine.release()
        assert not other.acquire()
        kill_group(child.pid)
        assert child.wait() == -signal.SIGKILL
    assert other.acquire()
    other.release()
    kill_group(child.pid)  # none left is fine


def test_a_child_without_it_does_not_keep_it(tmp_path) -> None:
    mine, other = FileLock(tmp_path / "a.lock"), FileLock(tmp_path / "a.lock")
    mine.acquire()
    with start_child(WAIT, cwd=tmp_path, env=dict(os.environ), stdin=subprocess.PIPE, output=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"up\n"
        mine.release()
        assert other.acquire()
        child.stdin.close()
    other.release()


def test_names_and_space(tmp_path) -> None:
    assert signal_name(9) == "SIGKILL"
    assert signal_name(63) == "signal 63"
    assert free_disk_bytes(tmp_path / "not" / "there" / "yet") > 0


@pytest.fixture
def windows(monkeypatch):
    """Windows as far as a refusal that lasts for a moment goes; what was waited is returned, not waited."""
    waited: list[float] = []
    monkeypatch.setattr(platform.sys, "platform", "win32")
    monkeypatch.setattr(platform.time, "sleep", waited.append)
    return waited


def refusing(times: int, really, problem: OSError):
    """What Windows does while another program holds a file: it refuses so often, then it does the thing."""
    left = [problem] * times

    def do(*args, **kwargs):
        if left:
            raise left.pop()
        return really(*args, **kwargs)

    return do


MAPPED = OSError(errno.EINVAL, "a mapped section is open")
MAPPED.winerror = 1224


@pytest.mark.parametrize("problem", [PermissionError(errno.EACCES, "in use"), MAPPED])
@pytest.mark.parametrize(("change", "call"), [(rename, "rename"), (replace, "replace")])
def test_a_name_is_given_once_a_scanner_lets_go(tmp_path, monkeypatch, windows, change, call, problem) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file").write_text("new")
    monkeypatch.setattr(platform.os, call, refusing(3, getattr(os, call), problem))
    change(tmp_path / "new", tmp_path / "name")
    assert (tmp_path / "name" / "file").read_text() == "new"
    assert len(windows) == 3


def test_a_refusal_that_lasts_is_said_in_the_end_and_one_elsewhere_at_once(tmp_path, monkeypatch, windows) -> None:
    monkeypatch.setattr(platform.os, "replace", refusing(99, os.replace, PermissionError(errno.EACCES, "in use")))
    with pytest.raises(PermissionError):
        replace(tmp_path / "old", tmp_path / "new")
    assert 3 < sum(windows) < 10  # seconds
    windows.clear()
    monkeypatch.setattr(platform.sys, "platform", "linux")
    with pytest.raises(PermissionError):
        replace(tmp_path / "old", tmp_path / "new")
    assert windows == []


def test_a_missing_file_is_not_waited_for(tmp_path, windows) -> None:
    with pytest.raises(FileNotFoundError):
        rename(tmp_path / "none", tmp_path / "new")
    with pytest.raises(FileNotFoundError):
        remove_tree(tmp_path / "none")
    remove_tree(tmp_path / "none", ignore_errors=True)
    assert windows == []


def test_read_only_files_are_deleted_on_windows(tmp_path, monkeypatch, windows) -> None:
    file = tmp_path / "folder" / "inside" / "file"
    file.parent.mkdir(parents=True)
    file.write_text("")
    file.chmod(0o400)
    really = shutil.rmtree

    def windows_rmtree(folder, **options) -> None:
        if not file.stat().st_mode & stat.S_IWRITE:
            raise PermissionError(errno.EACCES, "read-only")
        really(folder, **options)

    monkeypatch.setattr(platform.shutil, "rmtree", windows_rmtree)
    remove_tree(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize(("system", "peak"), [("linux", 7 * 1024), ("darwin", 7), ("win32", 11)])
def test_the_peak_of_memory_is_bytes_on_every_system(monkeypatch, system: str, peak: int) -> None:
    monkeypatch.setattr(platform.sys, "platform", system)
    monkeypatch.setattr("resource.getrusage", lambda who: SimpleNamespace(ru_maxrss=7))
    monkeypatch.setattr(platform.psutil, "Process", lambda: SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=11)))
    assert platform.peak_rss_bytes() == peak


def test_what_a_process_uses_counts_what_it_has_started_and_is_nothing_once_it_is_gone(tmp_path) -> None:
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    child = "held = bytearray(200_000_000); print('up', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", parent, child], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        assert platform.usage(process.pid).rss_bytes > 200_000_000
        assert platform.usage(process.pid).cpu_s > 0
    assert platform.usage(process.pid) == platform.Usage(0.0, 0)


def test_everything_the_program_starts_is_told_to_open_no_console() -> None:
    package = Path(platform.__file__).parent.parent
    for file in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("subprocess.run", "subprocess.Popen"):
                told = "creationflags" in [keyword.arg for keyword in node.keywords]
                assert told or (file.name == "platform.py" and "sys.platform" not in ast.unparse(node)), f"{file}:{node.lineno}"


def test_a_process_without_a_job_is_killed_with_its_children() -> None:
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    child = "import os; print(os.getpid(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", parent, child], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        grandchild = psutil.Process(int(process.stdout.readline()))
        platform._kill_tree(process.pid)
        assert process.wait() == -signal.SIGKILL
        grandchild.wait()
        assert process.stdout.read() == b""
    platform._kill_tree(process.pid)  # none left is fine


@pytest.mark.parametrize(("terminal", "written"), [(False, "é😀".encode()), (True, b"\xe9\\U0001f600")])
def test_a_pipe_gets_utf8_and_a_terminal_escapes_for_what_it_lacks(monkeypatch, terminal: bool, written: bytes) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "cp1252", write_through=True)
    monkeypatch.setattr(raw, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(platform.sys, "stdout", stream)
    monkeypatch.setattr(platform.sys, "stderr", None)  # as in a window without a console
    platform.write_utf8()
    stream.write("é😀")
    assert raw.getvalue() == written


def test_workers_read_and_write_utf8(monkeypatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
    code = "import sys; print('😀'); open(sys.argv[1], 'w').write('😀')"
    done = subprocess.run([sys.executable, "-c", code, os.devnull], env=worker_environment(), capture_output=True, check=True)
    assert done.stdout.decode("utf-8").strip() == "😀"


def test_a_file_is_read_once_its_replacement_is_there(tmp_path, windows) -> None:
    (tmp_path / "status").write_bytes(b"new")
    path = SimpleNamespace(
        read_bytes=refusing(2, (tmp_path / "status").read_bytes, PermissionError(errno.EACCES, "being replaced"))
    )
    assert platform.read_replaced(path) == b"new"
    assert len(windows) == 2


STEPPED = """
import sys
import psutil
from rlhf_desktop.core.platform import is_alive
from rlhf_desktop.core.runs import ProcessRef
began = psutil.Process.create_time
psutil.Process.create_time = lambda self: began(self) + float(sys.argv[2])  # as psutil computes it once the clock has been set
print(is_alive(ProcessRef.model_validate_json(sys.argv[1])))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems keep the start time itself")
@pytest.mark.parametrize("step_s", [-7200.0, 7200.0])
def test_a_clock_that_was_set_makes_no_living_process_look_dead(step_s):
    me = process_ref()
    said = subprocess.run(
        [sys.executable, "-c", STEPPED, me.model_dump_json(), str(step_s)], capture_output=True, text=True, check=True, timeout=120
    )
    assert said.stdout.strip() == "True"
    assert not is_alive(me.model_copy(update={"ticks": me.ticks + 1}))
    assert not is_alive(me.model_copy(update={"boot": "another start of the computer"}))


def test_a_process_noted_by_an_earlier_version_is_still_known():
    assert is_alive(process_ref().model_copy(update={"boot": "", "ticks": 0}))


FAMILY = "import subprocess, sys; c = subprocess.Popen(['sleep', '60']); print(c.pid, flush=True); c.wait()"


@pytest.mark.skipif(sys.platform == "win32", reason="a job does it there")
@pytest.mark.parametrize("group_signal", [True, False], ids=["by the group's pidfd", "without one"])
def test_a_process_is_ended_with_its_group_and_only_it(monkeypatch, group_signal) -> None:
    if not group_signal:
        monkeypatch.setattr(platform, "_WHOLE_GROUP", 1 << 20)  # a kernel that knows no such flag
    process = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, process_group=0)
    assert process.stdout
    child = psutil.Process(int(process.stdout.readline()))
    ref = platform.process_ref(process.pid)
    assert ref is not None
    for other in (
        ref.model_copy(update={"ticks": ref.ticks + 1, "start_time": ref.start_time + 9}),
        ref.model_copy(update={"pid": -1}),
    ):
        assert not platform.end_process(other)
    assert process.poll() is None
    assert platform.end_process(ref)
    assert process.wait(30) == -signal.SIGKILL
    psutil.wait_procs([child], timeout=30)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert not platform.end_process(ref)
    process.stdout.close()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="there are no pidfds here")
def test_a_number_that_passed_to_another_process_is_left_alone(monkeypatch) -> None:
    """Between the look and the kill the process ends and its number is somebody else's."""
    process = subprocess.Popen(["sleep", "60"], process_group=0)
    ref = platform.process_ref(process.pid)
    killed: list[int] = []

    def look(asked) -> bool:
        process.kill()
        process.wait()
        return True

    monkeypatch.setattr(platform, "is_alive", look)
    monkeypatch.setattr(os, "killpg", lambda pid, _: killed.append(pid))
    assert platform.end_process(ref)
    assert killed == []


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux")
def test_a_process_leaves_no_core_dump_and_hides_its_memory():
    script = (
        "import ctypes, resource\n"
        "from rlhf_desktop.core.platform import be_private, hide_memory\n"
        "be_private(); hide_memory()\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=package_parent())
    assert done.stdout == "(0, 0) 0\n"
