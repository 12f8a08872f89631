"""The Hugging Face Hub as this program uses it: calls of the official client, tried again when that helps.

Every failure is said in one plain sentence.

Nothing here runs unless the user asked for it by a search, a download or an upload; nothing runs while offline is on (unless the
address is this computer's own). A token is sent only when it is handed over here: the client's own search for one is off.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from rlhf_desktop.core import offline
from rlhf_desktop.core.errors import AppError, BadInput, HubTrouble, NoSpace, NotFound
from rlhf_desktop.core.files import is_disk_full
from rlhf_desktop.hub.tokens import Secret, scrub

DEFAULT_ENDPOINT = "https://huggingface.co"
_WAITS_S = (1.0, 3.0, 8.0)  # between tries
_CHUNK_BYTES = 64 * 1024
_LONGEST_WAIT_S = 60.0  # longer waits are the user's to decide
_PATIENCE_S = 20.0  # for all the waits the client makes by itself within one call
_R = TypeVar("_R")


class _Pauses(threading.local):
    """Stands in for `time` in the client, which in some calls (searching, uploading) tries again by itself and waits as told.

    Told to wait an hour, it would: silently, and nobody could stop it.
    """

    spent_s = 0.0

    def sleep(self, seconds: float) -> None:
        """Wait, within limits.

        Raises:
            HubTrouble: it would be too long.
        """
        if seconds > _LONGEST_WAIT_S:
            raise HubTrouble("The Hub asks to wait: there were too many requests.", "Try again in some minutes.")
        if self.spent_s and self.spent_s + seconds > _PATIENCE_S:
            hint = "Check the connection, or try again later. What has arrived is kept."
            raise HubTrouble("The Hub has a trouble of its own, or the connection broke.", hint)
        self.spent_s += seconds
        time.sleep(seconds)


_pauses = _Pauses()


def endpoint_address() -> str:
    """The Hub's address: `HF_ENDPOINT` for a mirror or an organisation's own, else the public one."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


class Hub:
    """A connection to the Hub.

    Args:
        token: The user's, or None for what is public.
        endpoint: Another Hub than `endpoint_address`.
        wait: How to wait between tries.
    """

    def __init__(
        self, token: Secret | None = None, endpoint: str | None = None, wait: Callable[[float], None] = time.sleep
    ) -> None:
        self.endpoint = (endpoint or endpoint_address()).rstrip("/")
        self._token, self._wait = token, wait

    @property
    def token(self) -> str | bool:
        """As the client wants it; False: none, and look for none."""
        return self._token.value if self._token else False

    @property
    def has_token(self) -> bool:
        """Whether there is a token to send."""
        return self._token is not None

    def api(self) -> Any:
        """The official client.

        Raises:
            OfflineRefused: offline is on.
        """
        offline.check_online(self.endpoint.split("://")[-1].split("/")[0].rsplit(":", 1)[0])
        os.environ.update(offline.QUIET)  # read when the library is first imported
        from huggingface_hub import HfApi, constants, set_client_factory
        from huggingface_hub.utils import _http
        from huggingface_hub.utils.logging import set_verbosity

        from rlhf_desktop.hub.patience import patient_client

        constants.DOWNLOAD_CHUNK_SIZE = _CHUNK_BYTES  # the client keeps whole chunks only: ten megabytes lost at each break
        set_verbosity(logging.ERROR)
        if _http._GLOBAL_CLIENT_FACTORY is not patient_client:  # setting it closes what is open
            set_client_factory(patient_client)
        _http.time = _pauses  # type: ignore[assignment, attr-defined]
        return HfApi(endpoint=self.endpoint, token=self.token, library_name="rlhf-desktop")

    def call(self, what: str, work: Callable[[Any], _R]) -> _R:
        """Do something with the client; errors that pass are tried again.

        Args:
            what: The repository or search it is about, for the sentence when it fails.
            work: Gets the client.

        Raises:
            AppError: one plain sentence, whatever happened.
        """
        waits = list(_WAITS_S)
        _pauses.spent_s = 0.0
        while True:
            try:
                return work(self.api())
            except AppError:
                raise
            except Exception as problem:  # the client and its HTTP library raise many kinds
                pause_s = retry_after_s(problem, waits[0]) if waits else None
                if pause_s is None or pause_s > _LONGEST_WAIT_S:
                    raise explain(problem, what, self.has_token, self.endpoint) from None
                waits.pop(0)
                self._wait(pause_s)

    def who(self) -> str:
        """The name of the account the token belongs to."""
        name: str = self.call("your account", lambda api: api.whoami()["name"])
        return name


def retry_after_s(problem: BaseException, otherwise_s: float) -> float | None:
    """How long to wait before trying again; None where trying again cannot help."""
    for cause in _causes(problem):
        status = _status(cause)
        if status == 429 or status >= 500:
            response: Any = getattr(cause, "response", None)
            asked = str(response.headers.get("Retry-After", ""))
            return float(asked) if asked.isdigit() else otherwise_s
        if _is_network(cause):
            return otherwise_s
    return None


def explain(problem: BaseException, what: str, has_token: bool, endpoint: str = DEFAULT_ENDPOINT) -> AppError:
    """A failure of the client as one plain sentence with a remedy. What it said goes into the detail, without tokens."""
    from huggingface_hub import errors

    detail = scrub(" / ".join(f"{type(cause).__name__}: {cause}" for cause in _causes(problem)))[:2000]
    for cause in _causes(problem):
        if isinstance(cause, AppError):
            return cause
        if is_disk_full(cause):
            return NoSpace("The disk is full.", "What has arrived is kept: free some space, then try again.", detail)
        if isinstance(cause, errors.GatedRepoError):
            return _gated(what, has_token, endpoint, detail)
        if isinstance(cause, errors.RevisionNotFoundError):
            return NotFound(f"“{what}” has no such revision.", "Leave the revision out for the newest.", detail)
        if isinstance(cause, errors.RepositoryNotFoundError):
            hint = "Check its name (owner/name). If it is private, give a token that may read it."
            return NotFound(f"“{what}” is not on the Hub, or it is private.", hint, detail)
        if isinstance(cause, errors.EntryNotFoundError):
            return NotFound(f"A file of “{what}” is not on the Hub.", "It may have been changed meanwhile: try again.", detail)
        if isinstance(cause, errors.HFValidationError):
            return BadInput(f"“{what}” is not the name of a repository.", "Names look like owner/name.", detail)
        if isinstance(cause, errors.OfflineModeIsEnabled):
            hint = "Unset HF_HUB_OFFLINE in the environment this program is started from."
            return HubTrouble("The environment forbids the Hub (HF_HUB_OFFLINE is set).", hint, detail)
        if _status(cause):
            return _explain_status(_status(cause), what, has_token, detail)
        if _is_network(cause):
            hint = "What has arrived is kept: check the connection, then try again."
            return HubTrouble("The Hub cannot be reached, or the connection broke.", hint, detail)
    return HubTrouble(f"The Hub's answer about “{what}” could not be used.", "Trying again later may help.", detail)


class TokenTrouble(HubTrouble):
    """A token is missing, not accepted, or may not do this."""


def _explain_status(status: int, what: str, has_token: bool, detail: str) -> AppError:
    if status == 401:
        if has_token:
            return TokenTrouble("The Hub does not accept your token.", "Make a new one on the Hub and give it in Settings.", detail)
        return TokenTrouble("The Hub wants to know who you are for this.", "Give your token in Settings, then try again.", detail)
    if status == 403:
        if not has_token:
            return TokenTrouble(
                "The Hub does not let everybody do this.", f"Give the token of an account that may use “{what}”.", detail
            )
        hint = f"Use one of an account that may use “{what}”: with read permission to download, write permission to publish."
        return TokenTrouble("Your token may not do this.", hint, detail)
    if status == 429:
        return HubTrouble("The Hub asks to wait: there were too many requests.", "Try again in some minutes.", detail)
    if status >= 500:
        hint = "Nothing is wrong here: try again later. What has arrived is kept."
        return HubTrouble("The Hub has a trouble of its own.", hint, detail)
    if status in (409, 412):
        return HubTrouble(f"“{what}” has changed on the Hub meanwhile.", "Try again.", detail)
    return HubTrouble(f"The Hub refused this for “{what}” (code {status}).", "The details may say why.", detail)


class Gated(HubTrouble):
    """A model whose makers let people in one by one. `page` is where one asks them."""

    def __init__(self, message: str, hint: str, detail: str, page: str) -> None:
        super().__init__(message, hint, detail)
        self.page = page


def _gated(what: str, has_token: bool, endpoint: str, detail: str) -> AppError:
    page = f"{endpoint}/{what}"
    if has_token:
        hint = f"Open {page} in a browser with the same account, accept their terms, then try again."
        return Gated(f"“{what}” is gated, and your account has not been let in yet.", hint, detail, page)
    hint = f"Open {page} in a browser, accept their terms, then give your token in Settings → Privacy."
    return Gated(f"“{what}” is gated: its makers want to know who uses it.", hint, detail, page)


def _causes(problem: BaseException) -> list[BaseException]:
    """An exception and those behind it, the outermost first."""
    found: list[BaseException] = []
    at: BaseException | None = problem
    while at is not None and at not in found:
        found.append(at)
        at = at.__cause__ or at.__context__
    return found


def _status(problem: BaseException) -> int:
    """The HTTP status an exception carries; 0 for none."""
    response = getattr(problem, "response", None)
    status = getattr(response, "status_code", 0)
    return status if isinstance(status, int) else 0


def _is_network(problem: BaseException) -> bool:
    """Whether the transport failed: no connection, a broken one, or silence."""
    names = {kind.__name__ for kind in type(problem).__mro__}
    return bool(names & {"TransportError", "ConnectionError", "TimeoutError"})
