"""A chat message, as every layer, file and process passes it on."""

from typing import Literal

from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

Role = Literal["system", "user", "assistant"]


class Message(TypedDict):
    """One turn of a conversation."""

    role: Role
    content: str


Messages = list[Message]
