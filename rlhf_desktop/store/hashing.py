"""A function that the schema's triggers call: SQL has neither the Unicode forms nor the SHA-256 that the split goes by."""

import json

from rlhf_desktop.core.files import canonical_json, sha256_text
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.split import prompt_hash

HASHES = "question_hashes"
_PATH_CHARS = 16  # enough to tell a project's prompts apart


def question_hashes(path: str) -> str:
    """The prompt hash of a question (64 characters), then the beginning of the hash of all that led to it.

    Args:
        path: The messages from the first to the question as a JSON list of [how many come after it, role, content], in any order.
    """
    messages: Messages = [{"role": role, "content": content} for _, role, content in sorted(json.loads(path), key=_before)]
    return prompt_hash(messages) + sha256_text(canonical_json(messages))[:_PATH_CHARS]


def _before(message: tuple[int, str, str]) -> int:
    return -message[0]
