"""One split a project: what is held out is never trained on, by any trainer.

The half of a prompt follows from its own text, so it is the same on every workstation, in every run and after every merge.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

from rlhf_desktop.core.files import sha256_text
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.snapshot import Split

HELDOUT_SHARE = 0.15


def normalised_first_prompt(prompt: Messages) -> str:
    """The first question without differences nobody means: Unicode form (NFKC), case, runs of space."""
    first = next((m["content"] for m in prompt if m["role"] == "user"), prompt[0]["content"] if prompt else "")
    return " ".join(unicodedata.normalize("NFKC", first).casefold().split())


def prompt_hash(prompt: Messages) -> str:
    """SHA-256 of the normalised first prompt: what the split and its exceptions go by."""
    return sha256_text(normalised_first_prompt(prompt))


def split_of_hash(hashed: str, heldout_share: float = HELDOUT_SHARE) -> Split:
    """The half of a prompt hash: its first 64 bits, as a number from 0 to 1, below the share or not."""
    return "heldout" if int(hashed[:16], 16) < heldout_share * 2**64 else "train"


def heldout_edge(heldout_share: float) -> str:
    """What the hashes of held-out prompts come before in the order of texts: `split_of_hash` for a database."""
    edge = ceil(heldout_share * 2**64)
    return f"{edge:016x}" if edge < 2**64 else "g"


@dataclass(frozen=True)
class Splitter:
    """A project's split. `exceptions` (by prompt hash) go before the rule: a sample's prompts carry their half with them."""

    heldout_share: float = HELDOUT_SHARE
    exceptions: Mapping[str, Split] = field(default_factory=dict)

    def __call__(self, prompt: Messages) -> Split:
        """The half a prompt is in."""
        return self.of_hash(prompt_hash(prompt))

    def of_hash(self, hashed: str) -> Split:
        """The half of a prompt with this hash."""
        return self.exceptions.get(hashed) or split_of_hash(hashed, self.heldout_share)
