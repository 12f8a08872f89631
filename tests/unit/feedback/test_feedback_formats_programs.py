"""Exports of other programs, each written here in the shape its own source or documentation has."""

import csv
import io
import json
import random
import zipfile

import pytest

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.feedback.formats import PROGRAMS, SURE, Reading, guesses, read_feedback, sample, surveyed
from rlhf_desktop.feedback.formats.containers import understanding_of
from rlhf_desktop.feedback.formats.programs.talk import TALKS, thumb
from rlhf_desktop.feedback.judgements import Correction, Thumbs
from rlhf_desktop.feedback.rows import DemonstrationRow, JudgedRow, Problem, RankingRow, UnjudgedRow

UP, DOWN = (Thumbs(True),), (Thumbs(False),)


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def system(text):
    return {"role": "system", "content": text}


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in files.items():
            archive.writestr(name, value if isinstance(value, str | bytes) else json.dumps(value))
    return path


def recognised(path):
    """The format a file is surely taken for."""
    best, *others = guesses(sample(path))
    assert best.confidence >= SURE
    assert not others or others[0].confidence < best.confidence
    return best.format.name


def notes(path):
    context = surveyed(path, Reading())
    list(read_feedback(path, context=context))
    return [note.text for note in context.notes]


# --- Open WebUI


def owui_message(key, parent, role, content, **more):
    return {"id": key, "parentId": parent, "childrenIds": [], "role": role, "content": content, "timestamp": 1735000000, **more}


def owui_chat(*messages, system=""):
    history = {"messages": {message["id"]: message for message in messages}, "currentId": messages[-1]["id"]}
    chat = {
        "id": "",
        "title": "T",
        "models": ["llama3"],
        "params": {"system": system} if system else {},
        "history": history,
        "messages": list(messages),
        "tags": [],
        "timestamp": 1735000000000,
        "files": [],
    }
    return {
        "id": "c1",
        "user_id": "u1",
        "title": "T",
        "chat": chat,
        "updated_at": 1735000000,
        "created_at": 1735000000,
        "share_id": None,
        "archived": False,
        "pinned": False,
        "meta": {},
        "folder_id": None,
    }


def test_open_webui_thumbs_edits_and_regenerations(tmp_path):
    rated = owui_chat(
        owui_message("1", None, "user", "Capital of France?", models=["llama3"]),
        owui_message(
            "2",
            "1",
            "assistant",
            "Lyon",
            model="llama3",
            done=True,
            annotation={"rating": -1, "reason": "not_factually_correct", "comment": "No!", "tags": []},
        ),
        owui_message("3", "2", "user", "Sure?"),
        owui_message(
            "4",
            "3",
            "assistant",
            '<details type="reasoning" done="true" duration="2">\n<summary>Thought</summary>\n> h\n</details>\nParis',
            model="llama3",
            done=True,
            annotation={"rating": 1},
        ),
        system="Be brief.",
    )
    edited = owui_chat(
        owui_message("1", None, "user", "2 + 2?"),
        owui_message("2", "1", "assistant", "4", originalContent="5", done=True, annotation={"rating": 1}),
    )
    again = owui_chat(
        owui_message("1", None, "user", "A joke?"),
        owui_message("2", "1", "assistant", "No.", done=True),
        owui_message("3", "1", "assistant", "Knock knock.", done=True),
        owui_message("4", "1", "assistant", "No.", done=True),
        owui_message("5", "1", "assistant", "", done=False),
        owui_message("6", "3", "user", "Who is there?"),
        owui_message("7", "6", "assistant", "Boo.", done=True),
    )
    plain = owui_chat(owui_message("1", None, "user", "Hi"), owui_message("2", "1", "assistant", "Hello", done=True))
    path = write(tmp_path / "chat-export-1735000000.json", [rated, edited, again, plain])
    assert recognised(path) == "open-webui"
    first = [system("Be brief."), user("Capital of France?")]
    assert list(read_feedback(path)) == [
        JudgedRow(first, ("Lyon",), DOWN, critique="not factually correct\nNo!"),
        JudgedRow([*first, assistant("Lyon"), user("Sure?")], ("Paris",), UP),
        JudgedRow([user("2 + 2?")], ("5",), (Correction("4"),)),
        UnjudgedRow([user("A joke?")], ("No.", "Knock knock.")),
        UnjudgedRow([user("Hi")], ("Hello",)),
    ]
    context = surveyed(path, Reading())
    list(read_feedback(path, context=context))
    assert context.store(TALKS, dict)[TALKS] == 4
    assert context.notes == ()


def owui_feedback(rating, rated="2", siblings=None, meta=None, **more):
    chat = owui_chat(
        owui_message("1", None, "user", "Who?"),
        owui_message("2", "1", "assistant", "Me.", model="a", done=True, annotation={"rating": 1}),
        owui_message("3", "1", "assistant", "You.", model="b", done=True),
        owui_message("4", "1", "assistant", "Nobody.", model="c", done=True),
    )
    return {
        "id": "f1",
        "user_id": "u7",
        "version": 0,
        "type": "rating",
        "data": {"rating": rating, "model_id": "a", "sibling_model_ids": siblings, "reason": "", "comment": "", "tags": []},
        "meta": {"model_id": "a", "message_id": rated, "message_index": 2, "chat_id": "c1", **(meta or {})},
        "snapshot": {"chat": chat},
        "created_at": 1735000000,
        "updated_at": 1735000000,
        **more,
    }


def test_open_webui_feedback_history(tmp_path):
    path = write(
        tmp_path / "feedback-history-export.json",
        [
            owui_feedback(1),
            owui_feedback(-1),
            owui_feedback(1, siblings=["b"], meta={"arena": True}),
            owui_feedback(-1, siblings=["b", "c"], meta={"arena": True}),
        ],
    )
    assert recognised(path) == "open-webui-feedback"
    who = [user("Who?")]
    assert list(read_feedback(path)) == [
        JudgedRow(who, ("Me.",), UP, "u7"),
        JudgedRow(who, ("Me.",), DOWN, "u7"),
        RankingRow(who, ("Me.", "You."), (1, 2), "u7"),
        RankingRow(who, ("You.", "Me."), (1, 2), "u7"),
        RankingRow(who, ("Nobody.", "Me."), (1, 2), "u7"),
    ]


def test_open_webui_feedback_without_its_chat_is_refused_and_nothing_guessed(tmp_path):
    lost = owui_feedback(1)
    lost["snapshot"] = None
    unclear = owui_feedback(0)
    rows = list(read_feedback(write(tmp_path / "f.json", [lost, unclear])))
    assert [row.reason for row in rows] == [
        "the answer that was rated is not in it: export the feedback with its conversations",
        "its rating is neither up nor down",
    ]


def test_open_webui_answers_made_with_tools_or_about_pictures_are_left_out_and_said(tmp_path):
    tool = owui_chat(
        owui_message("1", None, "user", "Weather?"),
        owui_message("2", "1", "assistant", '<details type="tool_calls" done="true">x</details>\nSunny.', annotation={"rating": 1}),
    )
    picture = owui_chat(
        owui_message("1", None, "user", "What is this?", files=[{"type": "image", "url": "data:"}]),
        owui_message("2", "1", "assistant", "A cat.", annotation={"rating": 1}),
    )
    path = write(tmp_path / "f.json", [tool, picture])
    assert list(read_feedback(path)) == []
    assert sorted(notes(path)) == ["Answers made with tools are left out", "What follows a picture or a file is left out"]


# --- AnythingLLM

ANYTHING = [
    {
        "id": 1,
        "prompt": "Who?",
        "response": "Me.",
        "sent_at": "2025-01-01T00:00:00.000Z",
        "workspace": "W",
        "username": "ada",
        "rating": "GOOD",
    },
    {
        "id": 2,
        "prompt": "When?",
        "response": "Now.",
        "sent_at": "2025-01-01T00:00:00.000Z",
        "workspace": "W",
        "username": "API",
        "rating": "BAD",
    },
    {
        "id": 3,
        "prompt": "Why?",
        "response": "So.",
        "sent_at": "2025-01-01T00:00:00.000Z",
        "workspace": "W",
        "username": "unknown user",
        "rating": "--",
    },
]


@pytest.mark.parametrize("form", ["json", "csv"])
def test_anythingllm_thumbs(tmp_path, form):
    path = tmp_path / f"chats.{form}"
    if form == "json":
        path.write_text(json.dumps([{**row, "attachments": []} for row in ANYTHING], indent=4))
    else:
        out = io.StringIO(newline="")
        names = ["id", "workspace", "prompt", "response", "sent_at", "username", "rating"]
        csv.DictWriter(out, names, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(ANYTHING)
        path.write_text(",".join(names) + "\n" + out.getvalue())
    assert recognised(path) == "anythingllm"
    assert list(read_feedback(path)) == [
        JudgedRow([user("Who?")], ("Me.",), UP, "ada"),
        JudgedRow([user("When?")], ("Now.",), DOWN),
        UnjudgedRow([user("Why?")], ("So.",)),
    ]


# --- LM Studio


def lms_user(text):
    content = [{"type": "text", "text": text}]
    version = {"type": "singleStep", "role": "user", "content": content, "preprocessed": {"role": "user", "content": content}}
    return {"versions": [version], "currentlySelected": 0}


def lms_answer(*texts, selected=0, thought=""):
    def steps(text):
        blocks = [
            {"type": "contentBlock", "stepIdentifier": "1", "content": [{"type": "text", "text": text}]},
            {"type": "debugInfoBlock", "stepIdentifier": "2", "debugInfo": "x"},
        ]
        style = {"type": "thinking", "ended": True, "title": "Thought"}
        return (
            [{"type": "contentBlock", "style": style, "content": [{"type": "text", "text": thought}]}] if thought else []
        ) + blocks

    made = [
        {"type": "multiStep", "role": "assistant", "senderInfo": {"senderName": "qwen"}, "steps": steps(text)} for text in texts
    ]
    return {"versions": made, "currentlySelected": selected}


def test_lm_studio_versions_are_alternatives_and_the_chosen_one_goes_on(tmp_path):
    talk = {
        "name": "Jokes",
        "pinned": False,
        "createdAt": 1735000000000,
        "preset": "",
        "tokenCount": 9,
        "systemPrompt": "Be funny.",
        "messages": [
            lms_user("A joke?"),
            lms_answer("No.", "Knock knock.", selected=1, thought="hm"),
            lms_user("Who is there?"),
            lms_answer("Boo."),
        ],
        "usePerChatPredictionConfig": True,
    }
    lone = {**talk, "systemPrompt": "", "messages": [lms_user("Hi"), lms_answer("Hello")]}
    folder = tmp_path / "conversations"
    (folder / "work").mkdir(parents=True)
    for name, value in (("1735.conversation.json", talk), ("work/1736.conversation.json", lone)):
        (folder / name).write_text(json.dumps(value, indent=2))
    assert recognised(folder) == "lm-studio"
    assert list(read_feedback(folder)) == [
        UnjudgedRow([system("Be funny."), user("A joke?")], ("No.", "Knock knock.")),
        UnjudgedRow([user("Hi")], ("Hello",)),
    ]
    followed = {**talk, "messages": [*talk["messages"][:3], lms_answer("Boo.", "Bee.")]}
    rows = list(read_feedback(write(tmp_path / "one.conversation.json", followed)))
    assert rows[1].prompt == [system("Be funny."), user("A joke?"), assistant("Knock knock."), user("Who is there?")]


# --- Jan


def jan_message(number, role, text, thread="jan_1"):
    return {
        "id": f"m{number}",
        "object": "thread.message",
        "thread_id": thread,
        "role": role,
        "created_at": 1735000000 + number,
        "content": [{"type": "text", "text": {"value": text, "annotations": []}}],
        "status": "ready",
        "metadata": {},
    }


def test_jan_threads(tmp_path):
    lines = [jan_message(2, "assistant", "Lyon."), jan_message(1, "user", "Capital?"), jan_message(3, "assistant", "Paris.")]
    thread = tmp_path / "threads" / "jan_1"
    thread.mkdir(parents=True)
    (thread / "messages.jsonl").write_text("\n".join(map(json.dumps, lines)))
    told = {"id": "jan_1", "object": "thread", "title": "T", "assistants": [{"assistant_name": "Jan", "instructions": "Be exact."}]}
    (thread / "thread.json").write_text(json.dumps(told, indent=2))
    other = tmp_path / "threads" / "jan_2"
    other.mkdir()
    (other / "messages.jsonl").write_text(
        "\n".join(json.dumps(jan_message(n, *m, "jan_2")) for n, m in enumerate([("user", "Hi"), ("assistant", "Hello")]))
    )
    assert recognised(tmp_path / "threads") == "jan"
    assert list(read_feedback(tmp_path / "threads")) == [
        UnjudgedRow([system("Be exact."), user("Capital?")], ("Lyon.", "Paris.")),
        UnjudgedRow([user("Hi")], ("Hello",)),
    ]
    assert list(read_feedback(thread / "messages.jsonl")) == [UnjudgedRow([user("Capital?")], ("Lyon.", "Paris."))]


# --- LibreChat


def libre(key, parent, text, by_user, **more):
    return {
        "messageId": key,
        "parentMessageId": parent,
        "conversationId": "c",
        "sender": "User" if by_user else "GPT-4",
        "text": text,
        "isCreatedByUser": by_user,
        "error": False,
        "unfinished": False,
        "createdAt": "2025-01-01T00:00:00.000Z",
        **more,
    }


ROOT = "00000000-0000-0000-0000-000000000000"
THUMBED = {"feedback": {"rating": "thumbsDown", "tag": {"key": "not_matched"}, "text": "Too long"}}


@pytest.mark.parametrize("recursive", [False, True])
def test_librechat_thumbs_and_branches(tmp_path, recursive):
    answers = [
        libre("2", "1", "Lyon.", False, **THUMBED),
        libre("3", "1", "", False, content=[{"type": "think", "think": "hm"}, {"type": "text", "text": {"value": "Paris."}}]),
    ]
    question, more = libre("1", ROOT, "Capital?", True), libre("4", "3", "And Spain?", True)
    last = [libre("5", "4", "Madrid.", False), libre("6", "4", "Seville.", False)]
    value = {
        "conversationId": "c",
        "endpoint": "openAI",
        "title": "T",
        "exportAt": "10:00",
        "branches": True,
        "recursive": recursive,
        "options": {"promptPrefix": "Be brief."},
    }
    if recursive:
        tree = [{**question, "children": [answers[0], {**answers[1], "children": [{**more, "children": last}]}]}]
        value["messagesTree"] = tree
    else:
        value["messages"] = [question, *answers, more, *last]
    path = write(tmp_path / "T.json", value)
    assert recognised(path) == "librechat"
    first = [system("Be brief."), user("Capital?")]
    assert list(read_feedback(path)) == [
        JudgedRow(first, ("Lyon.",), DOWN, critique="not matched\nToo long"),
        UnjudgedRow([*first, assistant("Paris."), user("And Spain?")], ("Madrid.", "Seville.")),
    ]


# --- ChatGPT


def gpt_node(key, parent, role=None, *parts, kind="text", **more):
    message = None
    if role is not None:
        message = {
            "id": key,
            "author": {"role": role, "name": None, "metadata": {}},
            "create_time": 1735000000.1,
            "content": {"content_type": kind, "parts": list(parts)},
            "status": "finished_successfully",
            "end_turn": True,
            "weight": 1.0,
            "metadata": {},
            "recipient": "all",
            **more,
        }
    return key, {"id": key, "message": message, "parent": parent, "children": []}


def gpt_talk(key, *nodes):
    first = [gpt_node("root", None), gpt_node("sys", "root", "system", "", weight=0)]
    return {
        "title": "T",
        "create_time": 1735000000.1,
        "update_time": 1735000000.2,
        "mapping": dict([*first, *nodes]),
        "current_node": nodes[-1][0],
        "conversation_id": key,
        "id": key,
        "moderation_results": [],
        "plugin_ids": None,
    }


GPT = [
    gpt_talk(
        "k1",
        gpt_node("u1", "sys", "user", "Capital?"),
        gpt_node("a1", "u1", "assistant", "Lyon."),
        gpt_node("u2", "a1", "user", "Sure?"),
        gpt_node("t", "u2", "assistant", "", kind="thoughts"),
        gpt_node("a2", "t", "assistant", "Paris."),
    ),
    gpt_talk(
        "k2",
        gpt_node("u1", "sys", "user", "A joke?"),
        gpt_node("b1", "u1", "assistant", "No."),
        gpt_node("b2", "u1", "assistant", "Knock knock."),
    ),
    gpt_talk(
        "k3",
        gpt_node("u1", "sys", "user", "Weather?"),
        gpt_node("c", "u1", "assistant", "", kind="code", recipient="browser"),
        gpt_node("t", "c", "tool", "sun"),
        gpt_node("a", "t", "assistant", "Sunny."),
        gpt_node("u2", "a", "user", "Thanks"),
        gpt_node("a3", "u2", "assistant", "Welcome."),
    ),
    gpt_talk(
        "k4",
        gpt_node("u1", "sys", "user", {"content_type": "image_asset_pointer"}, "What is it?", kind="multimodal_text"),
        gpt_node("a1", "u1", "assistant", "A cat."),
    ),
]
GPT_RATINGS = [
    {
        "id": "a1",
        "conversation_id": "k1",
        "user_id": "user-1",
        "rating": "thumbs_down",
        "create_time": "2025-01-01",
        "content": json.dumps({"tags": ["false"], "text": "Lyon?!"}),
    },
    {"id": "x", "message_id": "a2", "conversation_id": "k1", "rating": "thumbsUp", "content": "{}"},
    {"id": "gone", "conversation_id": "k9", "rating": "thumbsUp", "content": "{}"},
]
GPT_COMPARED = [
    {
        "id": "m",
        "input": {"conversation_id": "k2"},
        "output": {
            "feedback_step_1": {"completion_comparison_rating": None},
            "feedback_step_2": {
                "original_turn": [{"id": "b1"}],
                "new_turn": [{"id": "b2"}],
                "completion_comparison_rating": "new",
                "new_completion_placement": "not-applicable",
            },
        },
    },
]


@pytest.mark.parametrize("packed", [True, False])
def test_chatgpt_ratings_and_comparisons_lie_beside_the_conversations(tmp_path, packed):
    files = {
        "conversations.json": GPT,
        "message_feedback.json": GPT_RATINGS,
        "model_comparisons.json": GPT_COMPARED,
        "user.json": {"id": "user-1", "email": "ada@example.com"},
        "chat.html": "<html>",
        "shared_conversations.json": [],
    }
    path = zipped(tmp_path / "export.zip", files)
    if not packed:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(tmp_path / "export")
        path = tmp_path / "export"
    assert recognised(path) == "chatgpt"
    capital = [user("Capital?")]
    assert list(read_feedback(path)) == [
        JudgedRow(capital, ("Lyon.",), DOWN, critique="Lyon?!\nfalse"),
        JudgedRow([*capital, assistant("Lyon."), user("Sure?")], ("Paris.",), UP),
        RankingRow([user("A joke?")], ("Knock knock.", "No."), (1, 2)),
        UnjudgedRow([user("A joke?")], ("No.", "Knock knock.")),
        UnjudgedRow([user("Weather?"), assistant("Sunny."), user("Thanks")], ("Welcome.",)),
    ]
    assert sorted(notes(path)) == ["Answers made with tools are left out", "What follows a picture or a file is left out"]


def test_chatgpt_conversations_alone_and_in_pieces(tmp_path):
    alone = write(tmp_path / "conversations.json", GPT[:2])
    rows = [UnjudgedRow([user("Capital?")], ("Lyon.",)), UnjudgedRow([user("A joke?")], ("No.", "Knock knock."))]
    assert list(read_feedback(alone)) == rows
    pieces = {"conversations-000.json": GPT[:1], "conversations-001.json": GPT[1:2], "message_feedback.json": []}
    assert list(read_feedback(zipped(tmp_path / "pieces.zip", pieces))) == rows


@pytest.mark.parametrize(("said", "ranks", "first"), [("new", (1, 2), "new"), ("original", (1, 2), "old"), ("same", (1, 1), "new")])
def test_which_of_two_chatgpt_answers_was_preferred(tmp_path, said, ranks, first):
    talk = gpt_talk(
        "k", gpt_node("u", "sys", "user", "Q"), gpt_node("o", "u", "assistant", "old"), gpt_node("n", "u", "assistant", "new")
    )
    step = {"original_turn": [{"id": "o"}], "new_turn": [{"id": "n"}], "completion_comparison_rating": said}
    told = [{"input": {"conversation_id": "k"}, "output": {"feedback_step_2": step}}]
    path = zipped(tmp_path / "e.zip", {"conversations.json": [talk], "model_comparisons.json": told})
    ranking = next(row for row in read_feedback(path) if isinstance(row, RankingRow))
    assert (ranking.completions[0], ranking.ranks) == (first, ranks)


# --- Claude


def claude_message(key, parent, sender, text, **more):
    block = {"type": "text", "text": text, "citations": [], "start_timestamp": None}
    return {
        "uuid": key,
        "text": text,
        "content": [block],
        "sender": sender,
        "created_at": "2025-01-01T00:00:00Z",
        "updated_at": "2025-01-01T00:00:00Z",
        "attachments": [],
        "files": [],
        "parent_message_uuid": parent,
        **more,
    }


def test_claude_conversations(tmp_path):
    root = "00000000-0000-4000-8000-000000000000"
    again = [
        claude_message("1", root, "human", "Capital?"),
        claude_message("2", "1", "assistant", "Lyon."),
        claude_message(
            "3", "1", "assistant", "Paris.", content=[{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Paris."}]
        ),
    ]
    flat = [
        {k: v for k, v in claude_message(str(n), "", s, t).items() if k not in ("content", "parent_message_uuid")}
        for n, (s, t) in enumerate([("human", "Hi"), ("assistant", "Hello"), ("human", "Bye"), ("assistant", "Goodbye")])
    ]
    tool = [
        claude_message("1", root, "human", "Weather?"),
        claude_message(
            "2", "1", "assistant", "Sunny.", content=[{"type": "tool_use", "name": "web"}, {"type": "text", "text": "Sunny."}]
        ),
    ]
    talks = [
        {"uuid": f"t{n}", "name": "T", "created_at": "x", "updated_at": "x", "account": {"uuid": "a"}, "chat_messages": m}
        for n, m in enumerate([again, flat, tool, []])
    ]
    path = zipped(tmp_path / "data.zip", {"conversations.json": talks, "users.json": [{"uuid": "a"}], "projects.json": []})
    assert recognised(path) == "claude"
    assert list(read_feedback(path)) == [
        UnjudgedRow([user("Capital?")], ("Lyon.", "Paris.")),
        UnjudgedRow([user("Hi")], ("Hello",)),
    ]
    assert notes(path) == ["Answers made with tools are left out"]


# --- plain conversations

TRANSCRIPTS = {
    "a.txt": "User: Capital?\nOf France.\n\nAssistant: Paris.\nAnswer: Paris.\n\nUser: Thanks\nAssistant: Welcome.",
    "b.md": "# Talk\n\n## User\n\nCapital?\nOf France.\n\n## Assistant\n\nParis.\nAnswer: Paris.\n",
    "c.md": "**You:** Capital?\nOf France.\n\n**ChatGPT:** Paris.\nAnswer: Paris.",
    "d.txt": "Conversation\n####\ntitle: T\n\n>> User:\nCapital?\nOf France.\n\n\n>> Assistant:\nParis.\nAnswer: Paris.\n",
    "e.txt": "Nutzer: Capital?\nOf France.\nAssistent: Paris.\nAnswer: Paris.",
    "f.json": [user("Capital?\nOf France."), assistant("Paris.\nAnswer: Paris.")],
    "g.json": {"title": "T", "messages": [user("Capital?\nOf France."), assistant("Paris.\nAnswer: Paris.")]},
    "h.json": [{"from": "human", "value": "Capital?\nOf France."}, {"from": "gpt", "value": "Paris.\nAnswer: Paris."}],
}


def test_a_folder_of_plain_conversations_gives_questions_and_no_examples(tmp_path):
    for name, value in TRANSCRIPTS.items():
        (tmp_path / name).write_text(value if isinstance(value, str) else json.dumps(value, indent=1), encoding="utf-8")
    assert recognised(tmp_path) == "conversations"
    row = UnjudgedRow([user("Capital?\nOf France.")], ("Paris.\nAnswer: Paris.",))
    assert list(read_feedback(tmp_path)) == [row] * len(TRANSCRIPTS)


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_a_plain_conversation_by_itself(tmp_path, name):
    value = TRANSCRIPTS[name]
    (tmp_path / name).write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    assert [type(row) for row in read_feedback(tmp_path / name)] == [UnjudgedRow]


@pytest.mark.parametrize("form", ["csv", "jsonl", "json"])
def test_a_log_with_a_turn_a_row_is_as_many_conversations_as_it_names(tmp_path, form):
    rows = [("a", "user", "One?", ""), ("b", "user", "Two?", ""), ("a", "assistant", "1", "up"), ("b", "assistant", "2", "down")]
    records = [dict(zip(("conversation_id", "role", "content", "feedback"), row, strict=True)) for row in rows]
    path = tmp_path / f"log.{form}"
    if form == "csv":
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, records[0])
        writer.writeheader()
        writer.writerows(records)
        path.write_text(out.getvalue())
    else:
        path.write_text(json.dumps(records) if form == "json" else "\n".join(map(json.dumps, records)))
    assert list(read_feedback(path)) == [JudgedRow([user("One?")], ("1",), UP), JudgedRow([user("Two?")], ("2",), DOWN)]


def test_records_about_messages_are_no_turns_of_one_conversation(tmp_path):
    tree = [
        {"message_id": "p", "parent_id": None, "role": "prompter", "text": "Q", "message_tree_id": "p"},
        {"message_id": "a", "parent_id": "p", "role": "assistant", "text": "A", "message_tree_id": "p", "rank": 1},
        {"message_id": "b", "parent_id": "p", "role": "assistant", "text": "B", "message_tree_id": "p", "rank": 0},
    ]
    path = write(tmp_path / "flat.json", tree)
    assert recognised(path) == "oasst-flat"


def test_a_data_set_of_examples_is_still_one(tmp_path):
    record = {"messages": [user("Q"), assistant("A")]}
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(record) + "\n" for _ in range(3)))
    (tmp_path / "README.md").write_text("# Data\n\nUser: nobody\nAssistant: nobody\n")
    assert list(read_feedback(tmp_path)) == [DemonstrationRow([user("Q")], "A")] * 3


# --- all of them


@pytest.mark.parametrize(
    ("value", "up"),
    [
        (1, True),
        (-1, False),
        ("GOOD", True),
        ("BAD", False),
        ("--", None),
        (0, None),
        (None, None),
        ("thumbsUp", True),
        ("thumbs_down", False),
        ({"rating": "thumbsDown"}, False),
        ({"type": "upvote"}, True),
        ({}, None),
        (7, None),
        ([1], None),
    ],
)
def test_thumbs_in_whatever_words(value, up):
    assert thumb(value) is up


@pytest.mark.parametrize("rating", [1, -1])
def test_swapping_the_answers_and_the_choice_gives_the_same_comparison(tmp_path, rating):
    here, there = owui_feedback(rating, siblings=["b"]), owui_feedback(-rating, rated="3", siblings=["a"])
    first, second = (list(read_feedback(write(tmp_path / "f.json", [one]))) for one in (here, there))
    assert first == second
    assert len(first) == 1


def turned(value):
    """The same export with every thumb turned round."""
    if isinstance(value, dict):
        return {name: turned(part) for name, part in value.items()}
    if isinstance(value, list):
        return [turned(part) for part in value]
    opposites = {"GOOD": "BAD", "thumbsUp": "thumbsDown", "thumbs_up": "thumbs_down"}
    both = opposites | {b: a for a, b in opposites.items()}
    return (
        -value if value in (1, -1) and not isinstance(value, bool) else both.get(value, value) if isinstance(value, str) else value
    )


@pytest.mark.parametrize("name", ["open-webui", "open-webui-feedback", "anythingllm", "librechat", "chatgpt"])
def test_turning_every_thumb_turns_every_judgement_and_never_makes_an_example(tmp_path, name):
    exports = {
        "open-webui-feedback": [owui_feedback(1), owui_feedback(-1), owui_feedback(1, siblings=["b"])],
        "anythingllm": ANYTHING,
        "open-webui": [
            owui_chat(owui_message("1", None, "user", "Q"), owui_message("2", "1", "assistant", "A", annotation={"rating": rating}))
            for rating in (1, -1)
        ],
        "chatgpt": {"conversations.json": GPT[:1], "message_feedback.json": GPT_RATINGS},
        "librechat": {"messages": [libre("1", ROOT, "Q", True), libre("2", "1", "A", False, **THUMBED)], "conversationId": "c"},
    }
    said = {}
    for turn in (False, True):
        value = turned(exports[name]) if turn else exports[name]
        path = zipped(tmp_path / f"{turn}.zip", value) if name == "chatgpt" else write(tmp_path / f"{turn}.json", value)
        rows = list(read_feedback(path))
        assert not [row for row in rows if isinstance(row, DemonstrationRow | Problem)]
        thumbs = [v.up for row in rows for v in row.verdicts if isinstance(v, Thumbs)]
        said[turn] = thumbs + [row.completions[0] == "Me." for row in rows if isinstance(row, RankingRow)]
    assert said[True] == [not up for up in said[False]]
    assert said[True]


@pytest.mark.parametrize("form", PROGRAMS, ids=lambda form: form.name)
def test_records_of_other_kinds_are_not_taken_for_an_export(form):
    others = [
        {"prompt": "q", "chosen": "a", "rejected": "b"},
        {"messages": [user("q"), assistant("a")]},
        {"prompt": "q", "response": "a"},
        {"data": {"prompt": "q"}, "annotations": [{"result": []}]},
        {"conversations": [{"from": "human", "value": "q"}]},
        {"data": {"rating": 4, "text": "q"}, "annotations": []},
        {"fields": {"prompt": "q"}, "responses": {}},
        {},
        {"mapping": {}},
        {"chat": "q"},
        {"messages": []},
        {"messages": "q"},
        {"mapping": [1]},
        {"chat": {"messages": "q"}},
    ]
    assert [form.fits(record) for record in others] == [0.0] * len(others)


# --- damaged

EXPORTS = {
    "open-webui": [
        owui_chat(
            owui_message("1", None, "user", "Q"),
            owui_message("2", "1", "assistant", "A", annotation={"rating": 1, "tags": ["x"]}),
            owui_message("3", "1", "assistant", "B", originalContent="C"),
            system="S",
        )
    ],
    "feedback": [owui_feedback(1, siblings=["b"])],
    "anythingllm": ANYTHING,
    "lm-studio": {"systemPrompt": "S", "messages": [lms_user("Q"), lms_answer("A", "B", thought="t")]},
    "jan": [jan_message(1, "user", "Q"), jan_message(2, "assistant", "A")],
    "librechat": {
        "conversationId": "c",
        "options": {"promptPrefix": "S"},
        "messagesTree": [{**libre("1", ROOT, "Q", True), "children": [libre("2", "1", "A", False, **THUMBED)]}],
    },
    "chatgpt": {"conversations.json": GPT[:1], "message_feedback.json": GPT_RATINGS, "model_comparisons.json": GPT_COMPARED},
    "claude": [{"uuid": "c", "chat_messages": [claude_message("1", "", "human", "Q"), claude_message("2", "1", "assistant", "A")]}],
    "plain": {"title": "T", "messages": [user("Q"), assistant("A")]},
}
STRANGE = (None, 0, -1, 1e308, True, "", "x", [], {}, [None], [[]], {"": None}, "\ud800", {"parent": "1"}, [{"id": []}], "1")


def places(value, path=()):
    """Every place in a value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from places(part, (*path, key))


def spoilt(value, path, by):
    """The value with another one at a place."""
    if not path:
        return by
    made = dict(value) if isinstance(value, dict) else list(value)
    made[path[0]] = spoilt(value[path[0]], path[1:], by)
    return made


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_with_one_value_spoilt_is_read_or_said_to_be_damaged(tmp_path, name):
    export, chance = EXPORTS[name], random.Random(name)
    every = [(place, by) for place in places(export) for by in STRANGE]
    for place, by in chance.sample(every, min(len(every), 150)):
        value = spoilt(export, place, by)
        if name == "chatgpt" and isinstance(value, dict) and value.keys() == export.keys():
            path = zipped(tmp_path / "e.zip", {key: json.dumps(part) for key, part in value.items()})
        else:
            path = tmp_path / "e.json"
            path.write_text(json.dumps(value))
        try:
            rows = list(read_feedback(path))
        except AppError as trouble:
            assert trouble.hint  # noqa: PT017
        else:
            guesses(sample(path))
            assert all(isinstance(row, RankingRow | JudgedRow | UnjudgedRow | Problem) for row in rows), (place, by)


def test_a_conversation_that_goes_in_circles_or_never_ends_takes_no_time(tmp_path):
    long = [owui_message(str(n), str(n - 1) if n else None, "user" if n % 2 == 0 else "assistant", "x", annotation={"rating": 1})
            for n in range(3000)]  # fmt: skip
    circle = [owui_message("1", "2", "user", "Q"), owui_message("2", "1", "assistant", "A", annotation={"rating": 1})]
    path = write(tmp_path / "f.json", [owui_chat(*long), owui_chat(*circle)])
    rows = list(read_feedback(path))
    assert 200 < len(rows) < 300  # those of a bearable length, and the circle's
    assert notes(path) == ["What follows a very long conversation is left out"]


def test_an_empty_file_of_an_export_does_not_cost_the_others(tmp_path):
    path = zipped(tmp_path / "e.zip", {"a.json": "", "conversations.json": GPT[1:2]})
    assert understanding_of(path).notes == ("2 files are read.",)
    problem, row = read_feedback(path)
    assert (problem.reason, type(row)) == ("a.json: a.json is empty", UnjudgedRow)
