"""Chat templates rendered in a process of their own (`template_process`), which is killed when it takes too long."""

import atexit
import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
from typing import Any

from rlhf_desktop.core.commands import package_parent, worker_environment
from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.platform import start_child, usage
from rlhf_desktop.inference.template_process import MEMORY_BYTES

CPU_LIMIT_S = 2.0  # real templates take milliseconds
WALL_LIMIT_S = 60.0  # a machine under load is slow without being attacked
_LOOK_EVERY_S = 0.05
_STARTING_CPU_S = 2.0  # seen from outside, the process's own start counts as the first text's
_HINT = "Choose another model, or one whose chat template comes from its makers. Nothing was run outside the sandbox."


class TemplateRenderer:
    """Renders templates in a child process, started when first needed and again after it had to be killed."""

    def __init__(self, cpu_limit_s: float = CPU_LIMIT_S, wall_limit_s: float = WALL_LIMIT_S) -> None:
        self._cpu_limit_s, self._wall_limit_s = cpu_limit_s, wall_limit_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._replies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        atexit.register(self.close)

    def render(self, template: str, values: dict[str, Any]) -> str:
        """The text a template makes of the values (JSON-like ones only).

        Raises:
            ModelTrouble: the template refuses, is wrong, or needs too much time or memory.
        """
        request = json.dumps({"template": template, "values": values}).encode() + b"\n"
        with self._lock:
            reply = self._ask(request)
        if "error" in reply:
            hint = "It may not know system messages, or want user and assistant to take turns."
            raise ModelTrouble(f"The chat template of this model refuses the conversation: {reply['error']}", hint)
        return str(reply["text"])

    def _ask(self, request: bytes) -> dict[str, str]:
        process = self._process or self._start()
        assert process.stdin
        try:
            process.stdin.write(request)
            process.stdin.flush()
            line = self._await(process.pid)
        except (OSError, queue.Empty):
            line = b""
        if not line.endswith(b"\n"):
            self.close()
            raise ModelTrouble("The chat template of this model takes too long or too much memory, so it was stopped.", _HINT)
        reply: dict[str, str] = json.loads(line)
        return reply

    def _await(self, pid: int) -> bytes:
        """The reply. Where the system enforces no limits, they are watched from here.

        Raises:
            queue.Empty: it takes too long, or too much.
        """
        if sys.platform == "linux":
            return self._replies.get(timeout=self._wall_limit_s)
        begun_s, end = usage(pid).cpu_s, time.monotonic() + self._wall_limit_s
        while time.monotonic() < end:
            with contextlib.suppress(queue.Empty):
                return self._replies.get(timeout=_LOOK_EVERY_S)
            used = usage(pid)
            if used.cpu_s - begun_s > self._cpu_limit_s + _STARTING_CPU_S or used.rss_bytes > MEMORY_BYTES:
                break
        raise queue.Empty

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "rlhf_desktop.inference.template_process", str(self._cpu_limit_s)]
        pipe = subprocess.PIPE
        process = start_child(
            command, cwd=package_parent(), env=worker_environment(), stdin=pipe, output=pipe, errors=None, memory_bytes=MEMORY_BYTES
        )
        self._process, self._replies = process, queue.SimpleQueue()
        threading.Thread(target=_read, args=(process, self._replies), daemon=True).start()
        return process

    def close(self) -> None:
        """End the process; the next text starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            assert process.stdin
            assert process.stdout
            process.stdin.close()
            process.stdout.close()


def _read(process: subprocess.Popen[bytes], replies: "queue.SimpleQueue[bytes]") -> None:
    assert process.stdout
    try:
        for line in process.stdout:
            replies.put(line)
    except ValueError:  # closed under us, after the kill
        return
    replies.put(b"")  # the process has ended


_shared = TemplateRenderer()


def render_template(template: str, values: dict[str, Any]) -> str:
    """`TemplateRenderer.render` in this process's one renderer."""
    return _shared.render(template, values)
