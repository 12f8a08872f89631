"""How long the Hub's client waits. It has no limit itself: a server that says nothing, or a byte a minute, would hold it for ever.

Limits are on silence, on the time until an answer begins, on the time and size of an answer, and on how slow a file may come.
Imported only with the client, which it belongs to.
"""

import threading
import time
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2

SILENCE_S = 60.0  # between two bytes
BEGIN_S, BEGIN_AFTER_SENDING_S = 60.0, 300.0  # until the headers are there; the Hub checks what was uploaded before it answers
ANSWER_S, ANSWER_BYTES = 120.0, 64 * 2**20  # for what is no file
SLOWEST_BYTES, SLOWEST_S = 6_000, 60.0  # of a file, each minute


class _Progress(threading.local):
    """How the request of this thread goes on."""

    begin_s = BEGIN_S
    end: float | None = None  # when what is being read must be there
    left_bytes: int | None = None
    window_began, window_bytes = 0.0, 0

    def asked(self, method: str) -> None:
        """A request is sent."""
        self.begin_s = BEGIN_S if method in ("GET", "HEAD") else BEGIN_AFTER_SENDING_S
        self.wrote()

    def wrote(self) -> None:
        """Something was sent: the answer may begin later."""
        self.end, self.left_bytes = time.monotonic() + self.begin_s, ANSWER_BYTES

    def answered(self, *, is_file: bool) -> None:
        """The headers are there."""
        now = time.monotonic()
        self.end, self.left_bytes = (None, None) if is_file else (now + ANSWER_S, ANSWER_BYTES)
        self.window_began, self.window_bytes = now, 0

    def wait_s(self, timeout: float | None) -> float:
        """How long the next read may take."""
        left = SILENCE_S if timeout is None else min(timeout, SILENCE_S)
        left = left if self.end is None else min(left, self.end - time.monotonic())
        if left <= 0:
            raise httpcore2.ReadTimeout("it took too long")
        return left

    def read(self, count: int) -> None:
        """Something came."""
        if self.left_bytes is not None:
            self.left_bytes -= count
            if self.left_bytes < 0:
                raise httpcore2.ReadError("it is far too much")
            return
        self.window_bytes += count
        if (now := time.monotonic()) - self.window_began > SLOWEST_S:
            if self.window_bytes < SLOWEST_BYTES:
                raise httpcore2.ReadTimeout("it comes too slowly")
            self.window_began, self.window_bytes = now, 0


_progress = _Progress()


class _Stream(httpcore2.NetworkStream):
    """A connection that keeps to the limits."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        content = self._inner.read(max_bytes, _progress.wait_s(timeout))
        _progress.read(len(content))
        return content

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, SILENCE_S if timeout is None else timeout)
        _progress.wrote()

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> "_Stream":
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, SILENCE_S if timeout is None else timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore2.SyncBackend):
    """Opens such connections."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        limit_s = BEGIN_S if timeout is None else timeout
        return _Stream(super().connect_tcp(host, port, limit_s, local_address, socket_options))


def patient_client() -> httpx2.Client:
    """The Hub's usual client within limits."""
    from huggingface_hub.utils._http import default_client_factory

    client = default_client_factory()
    for transport in (client._transport, *client._mounts.values()):
        if transport is not None:
            transport._pool._network_backend = _Backend()  # type: ignore[attr-defined]
    hooks = client.event_hooks
    client.event_hooks = {
        "request": [*hooks["request"], lambda request: _progress.asked(request.method)],
        "response": [*hooks["response"], lambda response: _progress.answered(is_file=_is_file(response))],
    }
    return client


def _is_file(response: httpx2.Response) -> bool:
    return response.is_success and response.request.method == "GET" and "json" not in response.headers.get("Content-Type", "")
