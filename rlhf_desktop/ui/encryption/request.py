"""What the window is asked to do while it is closed: encryption changes files that an open store holds."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class EncryptionRequest:
    """Encrypt the workspace, or remove its encryption.

    Attributes:
        kind: Which.
        passphrase: The new one, or the one that holds.
        remember: This computer's keyring is to remember it.
    """

    kind: Literal["create", "remove"]
    passphrase: str = field(repr=False)
    remember: bool = False
