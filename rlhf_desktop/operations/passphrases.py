"""Passphrases: how strong one is, in plain words, and one that this computer's keyring remembers."""

import json
from dataclasses import dataclass
from math import log2

from rlhf_desktop.core.encryption import LEAST_CHARS, read_header
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.hub.tokens import TokenKeeper

_BITS_A_WORD = 11  # a word somebody thinks of is one of some two thousand
_FAIR_BITS, _STRONG_BITS = 40, 60
_COMMON = ("password", "passwort", "passphrase", "secret", "qwert", "asdf", "1234", "letmein", "abc", "0000", "1111")


@dataclass(frozen=True)
class Strength:
    """What can honestly be said of a passphrase."""

    words: str
    weak: bool


def strength(passphrase: str) -> Strength:
    """How long a passphrase stands when somebody has the files and a fast computer. An estimate: nobody knows how it was chosen."""
    if len(passphrase) < LEAST_CHARS:
        return Strength(f"Too short: at least {LEAST_CHARS} characters are needed.", True)
    bits = _bits(passphrase)
    if bits < _FAIR_BITS:
        return Strength("Weak: with the files in hand, a computer guesses it within hours or days. Add words.", True)
    if bits < _STRONG_BITS:
        return Strength("Fair: it takes much effort to guess, if it is not a saying, a line of a song, or about you.", False)
    return Strength("Strong, if it is not a saying, a line of a song, or about you.", False)


def _bits(passphrase: str) -> float:
    """The smaller of two guesses: by its words, and by its characters."""
    folded = passphrase.casefold()
    common = sum(len(part) for part in _COMMON if part in folded)
    different = len(set(folded))
    by_characters = (len(passphrase) - common) * log2(max(2, min(different * 2, _alphabet(passphrase))))
    words = {word for word in folded.split() if len(word) > 2}
    by_words = len(words) * _BITS_A_WORD if len(words) > 1 else by_characters
    return min(by_characters, by_words) if different > 4 else 0.0


def _alphabet(passphrase: str) -> int:
    kinds = ((str.islower, 26), (str.isupper, 26), (str.isdigit, 10))
    return sum(size for kind, size in kinds if any(map(kind, passphrase))) + (12 if not passphrase.isalnum() else 0)


def remembered(workspace: Workspace) -> str | None:
    """The passphrase that this computer's keyring has of a workspace. May block."""
    keeper = _keeper(workspace)
    kept = keeper.get() if keeper is not None else None
    return str(json.loads(kept.value)) if kept is not None else None


def remember(workspace: Workspace, passphrase: str) -> bool:
    """Have the keyring remember it. Whether there is one. May block."""
    keeper = _keeper(workspace)
    return keeper is not None and keeper.keep(json.dumps(passphrase)) == "keyring"


def forget(workspace: Workspace) -> None:
    """Have the keyring forget it. May block."""
    keeper = _keeper(workspace)
    if keeper is not None:
        keeper.forget()


def _keeper(workspace: Workspace) -> TokenKeeper | None:
    header = read_header(workspace.root)
    return TokenKeeper(f"workspace {header.id}") if header is not None else None
