"""How much of what the model can read the conversation takes, and how fast it answers: one quiet line. Knows no widget."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, QTimer, Signal

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.protocol import Completion, Done, Measured, Sampling
from rlhf_desktop.ui.chat.worker_client import WorkerClient
from rlhf_desktop.ui.context import Session
from rlhf_desktop.ui.one_at_a_time import OneAtATime

_PAUSE_MS = 400  # what is being typed is measured when the typing pauses
_NEARLY = 0.9


@dataclass(frozen=True)
class Asked:
    """What would be sent now: messages and how an answer to them is drawn."""

    prompt: Messages
    sampling: Sampling


@dataclass(frozen=True)
class Reading:
    """What the gauge shows.

    Attributes:
        tokens: The model would read so many.
        limit: It can read so many.
        answer: An answer may take so many of them.
        left_out: Of the oldest messages, so many do not fit.
        speed: Tokens a second of the last answer, from its first token on; None: not known.
        first_s: How long its first token took.
    """

    tokens: int = 0
    limit: int = 0
    answer: int = 0
    left_out: int = 0
    speed: float | None = None
    first_s: float | None = None

    @property
    def nearly_full(self) -> bool:
        """Whether an answer or two more and the oldest messages no longer fit, or already do not."""
        return self.limit > 0 and (self.left_out > 0 or self.tokens + self.answer > _NEARLY * self.limit)

    @property
    def words(self) -> str:
        """As short as it is shown."""
        parts = [f"{self.tokens:,} of {self.limit:,} tokens"] if self.limit else []
        if self.left_out:
            parts = ["Full", *parts]
        elif self.nearly_full:
            parts = ["Nearly full", *parts]
        parts += [f"{self.speed:,.1f} tokens/s"] if self.speed is not None else []
        return " · ".join(parts)

    @property
    def explained(self) -> str:
        """All of it, in sentences."""
        said = []
        if self.limit:
            said.append(f"The model reads {self.tokens:,} of the {self.limit:,} tokens it can; an answer may take {self.answer:,}.")
        if self.left_out:
            said.append("What does not fit is left out, the oldest messages first. They stay in the conversation.")
        elif self.nearly_full:
            said.append("Soon the oldest messages will be left out. A new conversation has all the room again.")
        if self.speed is not None and self.first_s is not None:
            said.append(f"The last answer came at {self.speed:,.1f} tokens a second; its first token took {self.first_s:,.1f} s.")
        return " ".join(said)


class Gauge(QObject):
    """Asks the worker, where a model is loaded; measures the time of the answers itself.

    Args:
        client: The worker.
        session: Knows whether the worker answers at all.
        asked: What would be sent now; None: nothing.
        clock: Seconds.
    """

    changed = Signal(object)  # Reading

    def __init__(
        self,
        client: WorkerClient,
        session: Session,
        asked: Callable[[], Asked | None],
        clock: Callable[[], float] = time.monotonic,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._client, self._session, self._asked, self._clock = client, session, asked, clock
        self.reading = Reading()
        self._request = self._timed = ""  # the measurement and the answer that are waited for
        self._stale = ""  # a measurement of what is no longer shown
        self._measures = OneAtATime(self._measure)  # the worker may be at work for a while
        self._begun_s = self._first_s = 0.0
        self._room = 0
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE_MS)
        self._pause.timeout.connect(self.look)
        client.measured.connect(self._measured)
        client.troubleHappened.connect(self._trouble)
        client.modelLoaded.connect(lambda _loaded: self.look_soon())
        session.modelChanged.connect(self.forget)
        client.tokenArrived.connect(self._token)
        client.thoughtArrived.connect(self._token)
        client.completionFinished.connect(self._completed)
        client.requestDone.connect(self._done)

    def look_soon(self) -> None:
        """Something has changed; more may follow at once."""
        self._pause.start()

    def look(self) -> None:
        """Measure now, if there is anything to measure and nobody waits for an answer."""
        self._pause.stop()
        asked = self._asked()
        if asked is None or self._session.server is not None:
            self._measures.forget()
            self._show(Reading())
        else:
            self._measures.ask(asked)

    def _measure(self, asked: Asked) -> None:
        if self._client.loaded is not None and self._client.quiet:
            self._room = asked.sampling.max_new_tokens
            self._request = self._client.measure(asked.prompt, asked.sampling)
        else:
            self._measures.done()

    def forget(self) -> None:
        """Another conversation, or another model: nothing that was measured holds."""
        self._stale = self._request
        self._measures.forget()
        self._show(Reading())
        self.look_soon()

    def _trouble(self, request: str, _trouble: AppError) -> None:
        """It cannot be measured, as under a template that refuses the conversation: asking will say why."""
        if request == self._request:
            self._close()

    def _close(self) -> None:
        self._request = ""
        self._measures.done()

    def _measured(self, reply: Measured) -> None:
        if reply.id != self._request:
            return
        if reply.id != self._stale:
            said = {"tokens": reply.tokens, "limit": reply.limit, "answer": self._room, "left_out": reply.left_out}
            self._show(replace(self.reading, **said))
        self._close()

    def _show(self, reading: Reading) -> None:
        if reading != self.reading:
            self.reading = reading
            self.changed.emit(reading)

    # --- how fast

    def begin(self, request: str) -> None:
        """An answer has been asked for."""
        self._timed, self._begun_s, self._first_s = request, self._clock(), 0.0

    def _token(self, request: str, _prompt: int, _completion: int, _text: str) -> None:
        if request == self._timed and not self._first_s:
            self._first_s = self._clock()

    def _completed(self, reply: Completion) -> None:
        self._token(reply.id, reply.prompt, reply.completion, reply.text)

    def _done(self, reply: Done) -> None:
        if reply.id != self._timed:
            return
        self._timed = ""
        tokens, took_s = int(reply.stats.get("tokens", 0)), self._clock() - self._first_s
        if self._first_s and tokens > 1 and took_s > 0:
            speed, first_s = round((tokens - 1) / took_s, 1), round(self._first_s - self._begun_s, 1)
            self._show(replace(self.reading, speed=speed, first_s=first_s))
        self.look_soon()
