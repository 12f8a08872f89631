"""The user's Hub token: in the operating system's keyring, or for this session only. Never in a file, a log or a report."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

_SERVICE = "rlhf-desktop"
_HIDDEN = "hf_…"
_TOKEN = re.compile(r"\b(?:hf|api_org|sk)[_-][A-Za-z0-9_-]{8,}")

Kept = Literal["keyring", "session"]


@dataclass(frozen=True)
class Secret:
    """A token that does not show itself when printed."""

    value: str = field(repr=False)

    def __str__(self) -> str:
        return _HIDDEN


class TokenKeeper:
    """Knows the token for one address, the Hub's or a server's. Asking the keyring may block: not on the GUI thread."""

    def __init__(self, account: str = "huggingface.co") -> None:
        self._account = account
        self._session: Secret | None = None

    def get(self) -> Secret | None:
        """This session's token, else the keyring's, else None."""
        if self._session is None:
            with _keyring_troubles():
                import keyring

                found = keyring.get_password(_SERVICE, self._account)
                self._session = Secret(found) if found else None
        return self._session

    def keep(self, token: str) -> Kept:
        """Use a token from now on. Returns where it is kept: without a keyring, until the program ends."""
        self._session = Secret(token.strip())
        with _keyring_troubles():
            import keyring

            keyring.set_password(_SERVICE, self._account, token.strip())
            if keyring.get_password(_SERVICE, self._account) == token.strip():
                return "keyring"
        return "session"

    def use(self, token: str) -> None:
        """Use a token for this session only."""
        self._session = Secret(token.strip())

    def forget(self) -> None:
        """Forget it, in the keyring too."""
        self._session = None
        with _keyring_troubles():
            import keyring

            keyring.delete_password(_SERVICE, self._account)


class Keepers:
    """One keeper an address: a token given in one room is known in all of them, even where there is no keyring."""

    def __init__(self) -> None:
        self._keepers: dict[str, TokenKeeper] = {}

    def of(self, account: str) -> TokenKeeper:
        """The keeper for an address."""
        return self._keepers.setdefault(account, TokenKeeper(account))


def scrub(text: str) -> str:
    """A text without whatever looks like a token."""
    return _TOKEN.sub(_HIDDEN, text)


@contextlib.contextmanager
def _keyring_troubles() -> Iterator[None]:
    """No keyring, a locked one, or one that fails: then the token lives for the session.

    What went wrong is not shown: it could name the token.
    """
    with contextlib.suppress(Exception):
        yield
