"""`worker chat`: one base model, adapters on it, requests in and replies out as JSON lines (core/protocol.py).

A thread reads standard input; this process's main thread works the requests off in order. `cancel`, and the end of the input, reach
a running request at its next token.
"""

import gc
import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, BinaryIO

from pydantic import ValidationError

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.platform import peak_rss_bytes
from rlhf_desktop.core.protocol import (
    RESTART_EXIT,
    Cancel,
    Done,
    Generate,
    Likelihood,
    Load,
    Loaded,
    Loading,
    Measure,
    Ready,
    Reply,
    Request,
    Score,
    Shutdown,
    Trouble,
    Unload,
    parse_request,
)
from rlhf_desktop.inference.chat_text import thinking_of
from rlhf_desktop.inference.device import empty_cache, is_dead, is_out_of_memory
from rlhf_desktop.worker.session import Session, Stop


def main(argv: Sequence[str], out: BinaryIO) -> int:  # noqa: ARG001 - all jobs are called alike
    """Serve until `shutdown` or the end of the input, or until the graphics card has failed under the model."""
    server = Server(read_lines(sys.stdin.fileno()), out)
    server.serve()
    if server.is_lost:
        os._exit(RESTART_EXIT)  # not by the usual way, on which torch would ask the card to clean up
    return 0


def read_lines(fd: int) -> Iterator[bytes]:
    """Whole lines of a descriptor as they come.

    Not a Python file: a thread that waits in one holds its lock, and the interpreter aborts if it ends meanwhile.
    """
    rest = b""
    while chunk := os.read(fd, 65536):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


class Server:
    """Reads requests, runs them one after the other, writes replies."""

    def __init__(self, lines: Iterable[bytes], out: BinaryIO) -> None:
        self._lines = lines
        self._out = out
        self._writing = threading.Lock()
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()  # None: the input has ended
        self._cancelled: set[str] = set()
        self._ended = threading.Event()
        self._session: Session | None = None
        self.is_lost = False  # the card answers nothing that this process asks any more

    def serve(self) -> None:
        """Work until there is nothing more to come."""
        self._send(Ready(pid=os.getpid()))
        threading.Thread(target=self._read, daemon=True).start()
        while (request := self._requests.get()) is not None and not self._ended.is_set():
            self._answer(request)
            self._cancelled.discard(request.id)
            if isinstance(request, Shutdown) or self.is_lost:
                break

    def _read(self) -> None:
        """The reading thread: a cancel takes effect at once, everything else waits its turn."""
        for line in self._lines:
            try:
                request = parse_request.validate_json(line)
            except ValidationError as problem:
                self._send(
                    Trouble(id=_id_of(line), message="The model process got a request it does not know.", detail=str(problem))
                )
                continue
            if isinstance(request, Cancel):
                self._cancelled.add(request.target)
                self._send(Done(id=request.id))
            else:
                self._requests.put(request)
        self._ended.set()
        self._requests.put(None)

    def _answer(self, request: Request) -> None:
        """One request, whatever happens: an expected trouble or a bug is a reply, and the worker lives on."""
        start = time.perf_counter()
        try:
            stats = self._run(request, lambda: self._ended.is_set() or request.id in self._cancelled)
        except Exception as problem:  # reported with its traceback, as a bug, unless expected
            self.is_lost = is_dead(problem)
            self._send(describe(request.id, problem))
            return
        wall_s = time.perf_counter() - start
        if "tokens" in stats:
            stats["tokens_per_s"] = round(stats["tokens"] / wall_s, 1)
        stats |= {"wall_s": round(wall_s, 3), "peak_rss_bytes": peak_rss_bytes()}
        self._send(Done(id=request.id, cancelled=request.id in self._cancelled, stats=stats))

    def _run(self, request: Request, stop: Stop) -> dict[str, Any]:
        """Do it. Returns what there is to say about it."""
        if isinstance(request, Load):
            return self._load(request)
        if isinstance(request, Unload | Shutdown):
            self._unload()
            return {}
        if self._session is None:
            raise AppError("No model is loaded.", "Choose a model first.")
        if isinstance(request, Generate):
            return self._session.generate(request, self._send, stop)
        if isinstance(request, Score):
            return self._session.score(request, self._send, stop)
        if isinstance(request, Measure):
            return self._session.measure(request, self._send)
        assert isinstance(request, Likelihood), request
        return self._session.likelihood(request, self._send, stop)

    def _load(self, request: Load) -> dict[str, Any]:
        start = time.perf_counter()
        if self._session is None or not self._session.is_for(request):
            self._unload()  # first, so that two models are never in memory together
            self._session = Session(request, lambda share: self._send(Loading(id=request.id, share=share)))
        engine = self._session.engine
        kind = thinking_of(engine.voice.tokenizer).kind
        load_s = round(time.perf_counter() - start, 3)
        self._send(Loaded(id=request.id, **asdict(engine.held), load_s=load_s, thinking=kind))
        return {}

    def _unload(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session = None
        gc.collect()
        empty_cache()

    def _send(self, reply: Reply) -> None:
        line = reply.model_dump_json().encode() + b"\n"
        with self._writing:
            try:
                self._out.write(line)
                self._out.flush()
            except BrokenPipeError:  # nobody listens any more, as when the input ends
                self._ended.set()


def describe(request_id: str, problem: Exception) -> Trouble:
    """What the user is told."""
    if isinstance(problem, AppError):
        return Trouble(id=request_id, message=problem.message, hint=problem.hint, detail=problem.detail)
    detail = "".join(traceback.format_exception(problem))
    if is_dead(problem):
        hint = "Nothing you wrote is lost: the model process starts anew by itself, then ask again."
        return Trouble(id=request_id, message="The graphics card has failed while the model was at work.", hint=hint, detail=detail)
    if is_out_of_memory(problem):
        hint = "Ask for fewer or shorter answers, or choose a smaller model."
        return Trouble(id=request_id, message="There is not enough memory for this.", hint=hint, detail=detail)
    hint = "This is a fault of the program. Nothing you wrote is lost; trying again may help."
    return Trouble(id=request_id, message="Something went wrong inside the model process.", hint=hint, detail=detail)


def _id_of(line: bytes) -> str:
    """The id of a request that could not be understood, as far as there is one."""
    try:
        found = json.loads(line)["id"]
    except (ValueError, KeyError, TypeError):
        return ""
    return found if isinstance(found, str) else ""
