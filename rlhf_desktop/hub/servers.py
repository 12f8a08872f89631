"""A server the user names: any that speaks OpenAI's chat completions (llama.cpp, vLLM, Ollama, LM Studio, and hosted ones).

Offline, only one on this computer is asked. What comes back is untrusted text with limits on its size; nothing else of it is used.
"""

import contextlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from rlhf_desktop.core import offline
from rlhf_desktop.core.errors import BadInput, HubTrouble
from rlhf_desktop.core.files import sha256_text
from rlhf_desktop.core.leaving import is_loopback
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.core.thoughts import ThoughtSplitter
from rlhf_desktop.core.words import count
from rlhf_desktop.hub.tokens import Secret, TokenKeeper, scrub

_CONNECT_S = 20.0
_TIMEOUT_S = 300.0  # of silence: a large model on a slow machine writes its whole answer before it sends the first byte
_LIMIT_S = 900.0  # for one answer, however it comes: a server may send a byte now and then for ever
_LIST_LIMIT_S = 30.0  # for the list of models
_MAX_BYTES = 16 * 2**20
_MAX_ANSWER_CHARS = 200_000
MOST_NAME_CHARS = 300  # of a model: what is kept beside each of its answers, and travels with them
_THOUGHTS = ("reasoning_content", "reasoning")  # where servers put what was thought before the answer


class Call:
    """Requests that another thread may end: the connection is broken, by which servers know that nobody listens any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.ended = False

    def holds(self, sock: socket.socket | None) -> None:
        """This is the connection in use. The socket itself: `http.client` lets go of one that the server will close."""
        with self._lock:
            self._socket = sock
            if self.ended:
                self._break()

    def end(self) -> None:
        """Break off."""
        with self._lock:
            self.ended = True
            self._break()

    def give_up(self) -> None:
        """Break off what is under way, although nobody ended it."""
        with self._lock:
            self._break()

    def _break(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it ended by itself
                self._socket.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class ServerAnswer:
    """One answer. `finish` is "length" when the server cut it."""

    text: str
    finish: Literal["end", "length"]
    tokens: int | None
    thought: str = ""


@dataclass(frozen=True)
class Server:
    """Where it is and which of its models to ask. `url` ends before /chat/completions, usually in /v1."""

    url: str
    model: str = ""
    key: Secret | None = None

    @classmethod
    def at(cls, url: str, model: str = "", key: Secret | None = None) -> "Server":
        """A server by the address a user types.

        Raises:
            BadInput: no address of a server.
        """
        text = url.strip()
        text = (text if "://" in text else f"http://{text}").rstrip("/").removesuffix("/chat/completions")
        try:
            parts = urlsplit(text)
            fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None and text.isprintable()
            fine = fine and " " not in text and (parts.port is None or parts.port > 0)
        except ValueError:
            fine = False
        if not fine:
            raise BadInput(f"“{url[:80]}” is not the address of a server.", "For example: http://localhost:11434/v1")
        if len(model) > MOST_NAME_CHARS:
            raise BadInput(
                "The name of the server's model is too long.", f"A name of up to {MOST_NAME_CHARS} characters can be kept."
            )
        return cls(text if parts.path.strip("/") else f"{text}/v1", model, key)

    @property
    def host(self) -> str:
        """Its name, as the record shows it."""
        return urlsplit(self.url).netloc

    @property
    def reference(self) -> ModelRef:
        """The model as the record of an answer names it: never mistaken for one of this workspace."""
        return ModelRef(name=f"{self.model} @ {self.host}", path="", hash="server:" + sha256_text(f"{self.url}\n{self.model}"))

    def models(self) -> list[str]:
        """The models it offers.

        Raises:
            OfflineRefused, HubTrouble: as `answers`.
        """
        found = self._ask("GET", "/models").get("data")
        names = [entry.get("id") for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
        return [name for name in names if isinstance(name, str) and 0 < len(name) <= MOST_NAME_CHARS]

    def answers(self, prompt: Messages, k: int, sampling: Sampling, seed: int = 0, call: Call | None = None) -> list[ServerAnswer]:
        """`k` answers to a conversation. Asked one by one: not every server knows how to give several. `call` may end it.

        Raises:
            OfflineRefused: offline is on, and it is not on this computer.
            HubTrouble: it cannot be reached, refuses, or answers something unusable.
        """
        return [self._answer(prompt, sampling, seed + number, call) for number in range(k)]

    def _answer(self, prompt: Messages, sampling: Sampling, seed: int, call: Call | None) -> ServerAnswer:
        asked = {
            "model": self.model, "messages": list(prompt), "temperature": sampling.temperature, "top_p": sampling.top_p,
            "max_tokens": sampling.max_new_tokens, "seed": seed, "stream": False,
        }  # fmt: skip
        answer = self._ask("POST", "/chat/completions", asked, call)
        try:
            choice = answer["choices"][0]
            told = choice["message"]
            text = told["content"]
            apart = next((told[name] for name in _THOUGHTS if isinstance(told.get(name), str)), "")
        except (KeyError, IndexError, TypeError, AttributeError):
            text, apart = None, ""
        if text is None and apart:
            text = ""  # it was cut while it thought
        if not isinstance(text, str) or len(text) > _MAX_ANSWER_CHARS:
            raise HubTrouble(f"{self.host} gave an answer that cannot be used.", "Is it a chat model?", scrub(str(answer)[:500]))
        usage = answer.get("usage")
        tokens = _answer_tokens(usage) if isinstance(usage, dict) else None
        finish: Literal["end", "length"] = "length" if choice.get("finish_reason") == "length" else "end"
        splitter = ThoughtSplitter()
        splitter.push(text)
        splitter.finish()
        thought = "\n\n".join(part.strip() for part in (apart[:_MAX_ANSWER_CHARS], splitter.thought) if part.strip())
        return ServerAnswer(splitter.answer.strip(), finish, tokens, thought)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, call: Call | None = None) -> dict[str, Any]:
        parts = urlsplit(self.url)
        offline.check_online(parts.hostname or "")
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "rlhf-desktop"}
        headers |= {"Authorization": f"Bearer {self.key.value}"} if self.key else {}
        connection = _connection(parts.scheme, parts.netloc)
        limit_s = _LIMIT_S if body else _LIST_LIMIT_S
        call, late = call or Call(), threading.Event()
        try:
            with _within(limit_s, call, late):
                connection.connect()
                call.holds(connection.sock)
                if late.is_set():
                    raise TimeoutError
                connection.sock.settimeout(min(_TIMEOUT_S, limit_s))
                connection.request(method, parts.path + path, json.dumps(body) if body else None, headers)
                with contextlib.closing(connection.getresponse()) as response:
                    raw = response.read(_MAX_BYTES + 1)
        except (OSError, http.client.HTTPException) as problem:
            if late.is_set():
                raise _late(self.host, limit_s) from None
            hint = "Is it running, and is the address right? Nothing was kept of this answer; the others are safe."
            raise HubTrouble(f"{self.host} cannot be reached, or the connection broke.", hint, scrub(str(problem))) from None
        finally:
            call.holds(None)
            connection.close()
        if late.is_set():  # what came of it is a part
            raise _late(self.host, limit_s)
        if response.status != 200:
            raise _refusal(self.host, self.model, response.status, raw)
        try:
            answer = json.loads(raw) if len(raw) <= _MAX_BYTES else None
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise HubTrouble(
                f"{self.host} did not answer as such servers do.", "Its address usually ends in /v1.", scrub(str(raw[:300]))
            )
        return answer


def _answer_tokens(usage: Mapping[str, Any]) -> int | None:
    """The answer's tokens without those of a thought, as far as the server counts them apart."""
    everything, details = usage.get("completion_tokens"), usage.get("completion_tokens_details")
    thought = details.get("reasoning_tokens") if isinstance(details, dict) else None
    if type(everything) is not int or not 0 <= everything <= _MAX_ANSWER_CHARS:  # no answer has more tokens than characters allowed
        return None
    return max(0, everything - thought) if type(thought) is int and thought >= 0 else everything


@dataclass(frozen=True)
class NamedServer:
    """One of a server's models, as the user keeps it. The key is not part of it: the keeper knows it."""

    url: str
    model: str
    keeper: TokenKeeper = field(repr=False, compare=False)

    @property
    def reference(self) -> ModelRef:
        """As the record names it."""
        return Server(self.url, self.model).reference

    @property
    def local(self) -> bool:
        """Whether it is on this computer: then offline does not forbid it."""
        return is_loopback(urlsplit(self.url).hostname)

    def connect(self) -> Server:
        """With its key. Asks the keyring: not on the GUI thread."""
        return Server(self.url, self.model, self.keeper.get())


def _connection(scheme: str, netloc: str) -> http.client.HTTPConnection:
    """Redirects are not followed: what is sent goes to the address the user typed, or nowhere."""
    if scheme == "https":
        return http.client.HTTPSConnection(netloc, timeout=_CONNECT_S, context=ssl.create_default_context())
    return http.client.HTTPConnection(netloc, timeout=_CONNECT_S)


@contextlib.contextmanager
def _within(limit_s: float, call: Call, late: threading.Event) -> Iterator[None]:
    """End a call that takes longer, and say so in `late`."""

    def end() -> None:
        late.set()
        call.give_up()

    timer = threading.Timer(limit_s, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _late(host: str, limit_s: float) -> HubTrouble:
    hint = "It may be overloaded, or something else answers at this address. Nothing was kept of this answer; the others are safe."
    limit = count(round(limit_s), "second")
    return HubTrouble(f"{host} did not finish its answer within {limit}, so it was given up.", hint)


def _refusal(host: str, model: str, status: int, raw: bytes) -> HubTrouble:
    detail = scrub(raw[:500].decode("utf-8", "replace"))
    if status in (401, 403):
        return HubTrouble(f"{host} wants a key, or does not accept this one.", "Give the key it was set up with.", detail)
    if status == 404:
        return HubTrouble(
            f"{host} does not know “{model}”, or its address is another.", "“server models” lists what it offers.", detail
        )
    if status == 429 or status >= 500:
        return HubTrouble(f"{host} is busy or has a trouble of its own.", "Try again later.", detail)
    return HubTrouble(f"{host} refused to answer (code {status}).", "The details may say why.", detail)
