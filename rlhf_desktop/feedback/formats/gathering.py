"""Records that lie in several files or lines, put together before they are read: ratings beside chats, messages of a thread."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.feedback.formats.documents import is_message
from rlhf_desktop.feedback.formats.items import Item
from rlhf_desktop.feedback.formats.programs import chatgpt, jan, plain
from rlhf_desktop.feedback.formats.unpacking import Member

Read = Callable[[Member], Iterator[Item]]
_BESIDE = (f"{chatgpt.RATINGS}.json", f"{chatgpt.COMPARISONS}.json")
_ASIDE = {  # files of an export that hold no conversations
    "user.json", "users.json", "user_settings.json", "projects.json", "memories.json", "shared_conversations.json",
    "library_files.json", "export_manifest.json", "conversation_asset_file_names.json", "shopping.json", "group_chats.json",
    "thread.json", "assistant.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "settings.json", "config.json",
    "state.json", "readme.md", "readme.txt", "license.md", "license.txt", *_BESIDE,
}  # fmt: skip
_TALK_NAMES = ("conversation_id", "conversationId", "chat_id", "thread_id", "session_id", "dialog_id", "conversation")
_OF_RECORDS = {"prompt", "message_id", "parent_id", "message_tree_id", "rank", "label", "score", "chosen", "rejected", "completion"}
_MOST_COLUMNS = 8  # of a turn
_TITLES = {"title", "name", "createdAt", "created_at", "updatedAt", "updated_at", "create_time", "exportedAt", "conversationId"}
_MAX_BESIDE = 10**6  # ratings that are kept in memory


def of_archive(members: Sequence[Member], read: Read) -> Iterator[Item]:
    """The records of the files of a folder or archive, with what other files there say of them."""
    ratings, comparisons = ({}, {}) if len(members) < 2 else (_beside(members, name, read) for name in _BESIDE)
    threads = {str(PurePosixPath(m.name).parent): m for m in members if m.file_name == "thread.json"}
    for member in talking(members):
        thread = threads.get(str(PurePosixPath(member.name).parent))
        for item in of_file(member, read):
            yield replace(item, value=_with(item.value, ratings, comparisons, thread))


def talking(members: Sequence[Member]) -> list[Member]:
    """The files of which records are read; the others hold what an export says of its owner."""
    return [member for member in members if member.file_name.casefold() not in _ASIDE or len(members) == 1]


def of_file(member: Member, read: Read) -> Iterator[Item]:
    """The records of one file, where several lines or turns may be one."""
    items = read(member)
    first = next(items, None)
    if first is None:
        return
    if jan.is_message(first.value):
        rest = [item.value for item in items]
        found = jan.gathered(value for value in (first.value, *rest) if jan.is_message(value))
        yield from (replace(first, number=number, value=record) for number, record in enumerate(found, 1))
    elif _is_turn(first.value):
        yield from _turns(first, items)
    elif member.suffix == ".json" and (turns := _single(first.value, member.alone)) is not None:
        second = next(items, None)
        yield replace(first, value={plain.TURNS: turns}) if second is None else first
        yield from (item for item in (second,) if item is not None)
        yield from items
    else:
        yield first
        yield from items


def _turns(first: Item, items: Iterator[Item]) -> Iterator[Item]:
    """A list of turns is one conversation, or as many as it names; a list of which only some are turns is what it is."""
    listed = [first, *items]
    if not all(_is_turn(item.value) for item in listed):
        yield from listed
        return
    talks: dict[str, list[Any]] = {}
    for item in listed:
        named = next((item.value[name] for name in _TALK_NAMES if name in item.value), "")
        talks.setdefault(str(named), []).append(item.value)
    yield from (replace(first, number=number, value={plain.TURNS: turns}) for number, turns in enumerate(talks.values(), 1))


def _is_turn(value: Any) -> bool:
    """Whether it is a turn of a conversation, and no record about one."""
    return is_message(value) and not _OF_RECORDS & value.keys() and len(value) <= _MOST_COLUMNS


def _single(value: Any, alone: bool) -> list[Any] | None:
    """The turns of a file that is one conversation, of which nothing is said but its title and the like."""
    turns = value.get("messages", value.get("conversation")) if isinstance(value, dict) else None
    if not isinstance(turns, list) or not turns or not all(is_message(turn) for turn in turns):
        return None
    if alone and not _TITLES & value.keys():
        return None  # a record of a data set
    return None if {"chosen", "rejected", "label", "rating", "score"} & value.keys() else turns


def _beside(members: Sequence[Member], name: str, read: Read) -> dict[str, list[Any]]:
    member = next((m for m in members if m.file_name == name), None)
    found: list[Any] = []
    if member is not None:
        with suppress(AppError):  # empty, mostly
            found = [item.value for _, item in zip(range(_MAX_BESIDE), read(member), strict=False)]
    return chatgpt.by_conversation(found)


def _with(value: Any, ratings: dict[str, list[Any]], comparisons: dict[str, list[Any]], thread: Member | None) -> Any:
    if not isinstance(value, dict):
        return value
    if "mapping" in value:
        key = str(value.get("conversation_id") or value.get("id"))
        return {**value, chatgpt.RATINGS: ratings.get(key, []), chatgpt.COMPARISONS: comparisons.get(key, [])}
    if jan.MESSAGES in value and thread is not None:
        return {**value, "assistants": _assistants(thread)}
    return value


def _assistants(thread: Member) -> Any:
    with suppress(AppError, ValueError, RecursionError), thread.open() as file:
        told = json.loads(file.read(2**20))
        return told.get("assistants") if isinstance(told, dict) else None
    return None
