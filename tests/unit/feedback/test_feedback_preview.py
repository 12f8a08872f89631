"""What a preview makes of files as people have them: recognised rightly or asked about, never sure and wrong."""

import csv
import gzip
import io
import json
import zipfile

import pytest

from rlhf_desktop.feedback.formats.parquet import write_parquet
from rlhf_desktop.feedback.judgements import Thumbs
from rlhf_desktop.feedback.rows import DemonstrationRow, RankingRow, UnjudgedRow
from rlhf_desktop.operations.feedback import preview_import

ASKED = "asked"  # not sure, for whatever reason it says


def turn(role, text):
    return {"role": role, "content": text}


def talk(*texts):
    return [turn("user" if place % 2 == 0 else "assistant", text) for place, text in enumerate(texts)]


def lines(*records):
    return "\n".join(json.dumps(record, ensure_ascii=False) for record in records)


def table(delimiter, *rows, encoding="utf-8"):
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue().encode(encoding)


def parquet(*records):
    out = io.BytesIO()
    write_parquet(out, list(records))
    return out.getvalue()


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, value in files.items():
            archive.writestr(name.replace("__", "."), json.dumps(value))
    return out.getvalue()


PAIR = {"prompt": "Where?", "chosen": "GOOD", "rejected": "BAD"}
HEAD = ["prompt", "chosen", "rejected"]
OWUI_CHAT = {
    "chat": {
        "history": {
            "currentId": "2",
            "messages": {
                "1": {"id": "1", "parentId": None, "role": "user", "content": "Where?"},
                "2": {"id": "2", "parentId": "1", "role": "assistant", "content": "BAD", "annotation": {"rating": -1}},
            },
        }
    }
}
OWUI_RATED = {
    "type": "rating",
    "data": {"rating": 1, "model_id": "a", "sibling_model_ids": None},
    "meta": {"message_id": "2"},
    "snapshot": {
        "chat": {
            "chat": {
                "history": {
                    "messages": {
                        "1": {"id": "1", "parentId": None, "role": "user", "content": "Where?"},
                        "2": {"id": "2", "parentId": "1", "role": "assistant", "content": "GOOD"},
                    }
                }
            }
        }
    },
}
GPT = {
    "conversation_id": "c",
    "mapping": {
        "1": {
            "parent": None,
            "children": ["2"],
            "message": {"author": {"role": "user"}, "content": {"content_type": "text", "parts": ["Q"]}},
        },
        "2": {
            "parent": "1",
            "children": [],
            "message": {"author": {"role": "assistant"}, "content": {"content_type": "text", "parts": ["A"]}},
        },
    },
}
CLAUDE = {
    "uuid": "c",
    "chat_messages": [{"uuid": "1", "sender": "human", "text": "Q"}, {"uuid": "2", "sender": "assistant", "text": "A"}],
}
ANYTHING = [{"id": 1, "prompt": "Where?", "response": "GOOD", "sent_at": "2025", "workspace": "W", "rating": "GOOD"}]
LMS = {
    "messages": [
        {"versions": [{"type": "singleStep", "role": role, "content": [{"type": "text", "text": text}]}], "currentlySelected": 0}
        for role, text in (("user", "Q"), ("assistant", "A"))
    ]
}
LIBRE = {
    "conversationId": "c",
    "messages": [
        {"messageId": "1", "parentMessageId": "0", "isCreatedByUser": True, "text": "Where?"},
        {"messageId": "2", "parentMessageId": "1", "isCreatedByUser": False, "text": "BAD", "feedback": {"rating": "thumbsDown"}},
    ],
}
JAN = [
    {
        "object": "thread.message",
        "thread_id": "t",
        "role": role,
        "created_at": n,
        "content": [{"type": "text", "text": {"value": text}}],
    }
    for n, (role, text) in enumerate([("user", "Q"), ("assistant", "A")])
]

FILES = {  # name: (content, the format it must be sure of; or that it asks)
    "preference.jsonl": (lines(PAIR, PAIR), "preference"),
    "preference.json": (json.dumps([PAIR, PAIR], indent=2), "preference"),
    "one object.json": (json.dumps(PAIR, indent=2), "preference"),
    "wrapped.json": (json.dumps({"data": [PAIR]}), "preference"),
    "columns.json": (json.dumps({name: [value, value] for name, value in PAIR.items()}), "preference"),
    "comma.csv": (table(",", HEAD, PAIR.values()), "preference"),
    "semicolon.csv": (table(";", HEAD, PAIR.values(), encoding="utf-8-sig"), "preference"),
    "tabs.txt": (table("\t", HEAD, PAIR.values(), encoding="utf-16"), "preference"),
    "tabs.tsv": (table("\t", HEAD, PAIR.values()), "preference"),
    "packed.jsonl.gz": (gzip.compress(lines(PAIR).encode(), mtime=0), "preference"),
    "table.parquet": (parquet(PAIR), "preference"),
    "archive.zip": (zipped(a__json=[PAIR], b__json=[PAIR]), "preference"),
    "code page.csv": (table(";", HEAD, ["Größe?", "GOOD ä", "BAD ö"], encoding="cp1252"), ASKED),
    "german.csv": (table(";", ["Frage", "Bessere Antwort", "Schlechtere Antwort"], PAIR.values()), ASKED),
    "which is better.csv": (table(",", ["question", "answer_a", "answer_b"], ["Where?", "BAD", "GOOD"]), ASKED),
    "implicit.jsonl": (lines({"chosen": talk("Where?", "GOOD"), "rejected": talk("Where?", "BAD")}), "preference-implicit"),
    "unpaired.jsonl": (lines({"prompt": "Where?", "completion": "BAD", "label": False}), "unpaired"),
    "thumbs.csv": (
        table(",", ["prompt", "completion", "label"], ["Where?", "GOOD", "true"], ["Where?", "BAD", "false"]),
        "unpaired",
    ),
    "examples.jsonl": (lines({"prompt": "Where?", "completion": "GOOD"}), "prompt-completion"),
    "messages.jsonl": (lines({"messages": talk("Where?", "GOOD")}), "messages"),
    "hh.jsonl": (
        lines({"chosen": "\n\nHuman: Where?\n\nAssistant: GOOD", "rejected": "\n\nHuman: Where?\n\nAssistant: BAD"}),
        "hh",
    ),
    "ultrafeedback.jsonl": (
        lines(
            {
                "prompt": "Where?",
                "chosen": talk("Where?", "GOOD"),
                "rejected": talk("Where?", "BAD"),
                "score_chosen": 9.0,
                "score_rejected": 2.0,
            }
        ),
        "ultrafeedback",
    ),
    "rankings.jsonl": (
        lines({"prompt": "Where?", "completions": [{"text": "BAD", "rank": 2}, {"text": "GOOD", "rank": 1}]}),
        "rankings",
    ),
    "oasst.jsonl": (
        lines(
            {
                "message_tree_id": "t",
                "prompt": {
                    "message_id": "p",
                    "role": "prompter",
                    "text": "Where?",
                    "replies": [
                        {"message_id": "a", "role": "assistant", "text": "BAD", "rank": 1, "replies": []},
                        {"message_id": "b", "role": "assistant", "text": "GOOD", "rank": 0, "replies": []},
                    ],
                },
            }
        ),
        "oasst",
    ),
    "sharegpt.json": (
        json.dumps([{"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "GOOD"}]}]),
        "sharegpt",
    ),
    "alpaca.json": (json.dumps([{"instruction": "Where?", "input": "", "output": "GOOD"}]), "alpaca"),
    "alpaca kto.json": (json.dumps([{"instruction": "Where?", "input": "", "output": "BAD", "kto_tag": False}]), "alpaca"),
    "openai.jsonl": (
        lines(
            {
                "input": {"messages": talk("Where?")},
                "preferred_output": [turn("assistant", "GOOD")],
                "non_preferred_output": [turn("assistant", "BAD")],
            }
        ),
        "openai-preference",
    ),
    "arena.jsonl": (
        lines({"conversation_a": talk("Where?", "BAD"), "conversation_b": talk("Where?", "GOOD"), "winner": "model_b"}),
        "arena",
    ),
    "chat-export.json": (json.dumps([OWUI_CHAT]), "open-webui"),
    "feedback-history.json": (json.dumps([OWUI_RATED]), "open-webui-feedback"),
    "anything.json": (json.dumps(ANYTHING, indent=4), "anythingllm"),
    "anything.csv": (table(",", list(ANYTHING[0]), list(ANYTHING[0].values())), "anythingllm"),
    "1.conversation.json": (json.dumps(LMS), "lm-studio"),
    "libre.json": (json.dumps(LIBRE), "librechat"),
    "chatgpt.zip": (zipped(conversations__json=[GPT], user__json={"id": "u"}, message_feedback__json=[]), "chatgpt"),
    "claude.zip": (zipped(conversations__json=[CLAUDE], users__json=[{"uuid": "u"}]), "claude"),
    "jan messages.jsonl": (lines(*JAN), "jan"),
    "talk.md": ("## User\n\nWhere?\n\n## Assistant\n\nThere.\n", "conversations"),
    "turns.json": (json.dumps(talk("Where?", "There.")), "conversations"),
    "scale unknown.jsonl": (
        lines({"fields": {"prompt": "Q", "response": "A"}, "responses": {"rank": [{"value": 2, "user_id": "u"}]}}),
        ASKED,
    ),
    "strange.csv": (table(",", ["alpha", "beta"], ["x", "y"]), ASKED),
    "package.json": (json.dumps({"name": "x", "version": "1.0.0", "dependencies": {}}), ASKED),
    "half broken.jsonl": (lines(PAIR) + "\noops\noops\n", ASKED),
}


def test_there_are_enough_of_them():
    assert len(FILES) >= 40
    assert len({form for _, form in FILES.values()}) >= 22


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_recognised_or_asked_about_and_never_surely_wrong(tmp_path, name):
    content, form = FILES[name]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    seen = preview_import(path)
    assert seen.sure is (form != ASKED)
    if seen.sure:
        assert seen.guesses[0].format.name == form
    else:
        assert seen.questions or seen.likely[0] or seen.problems or any("look whether" in note for note in seen.understood)
    assert seen.usable == len(seen.rows)
    for row in seen.rows:
        _means_what_it_says(row)


def _means_what_it_says(row):
    """In these files answers say themselves how good they are."""
    for verdict in row.verdicts:
        if isinstance(verdict, Thumbs):
            assert verdict.up is row.completions[verdict.index].startswith("GOOD")
    if isinstance(row, RankingRow):
        assert row.completions[row.ranks.index(1)].startswith("GOOD")
    if isinstance(row, DemonstrationRow):
        assert row.completion == "GOOD"
    if isinstance(row, UnjudgedRow):
        assert row.completions[0] in ("A", "There.")


def test_a_file_whose_rows_all_wait_for_an_answer_says_which(tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text("prompt,completion,upvotes\nQ,A,9\nQ,B,0\n", encoding="utf-8")
    seen = preview_import(path)
    assert ([question.key for question in seen.questions], seen.likely) == (["upvotes"], ("", {}))
