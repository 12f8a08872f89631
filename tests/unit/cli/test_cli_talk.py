"""`generate`, `score` and `chat`: bad files are refused before any model starts; the chat keeps a conversation."""

import json

import click
import pytest
from cli_helpers import write_rows

from rlhf_desktop.cli import desk as desk_module
from rlhf_desktop.cli import talk
from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.protocol import Completion, Token, Written
from rlhf_desktop.operations.instructions import save_instructions
from rlhf_desktop.store.database import Store
from tests.documents import pdf_bytes


class EchoWorker:
    """Answers with the last question and the number of messages it was shown; remembers seeds."""

    def __init__(self):
        self.asked, self.seeds, self.rooms, self.fail, self.held = [], [], [], False, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def load(self, base):
        self.held.append(base.quantization)

    def generate(self, prompts, k=1, adapter=None, sampling=None, seed=0, on_reply=None):
        if self.fail:
            raise ModelTrouble("The conversation is too long.", "Start a new one.")
        self.asked.append([dict(m) for m in prompts[0]])
        self.seeds.append(seed)
        self.rooms.append(sampling.max_thought_tokens)
        apart = {"thought": "Hm.", "thought_tokens": 3} if sampling.max_thought_tokens else {}
        rows = []
        for j, prompt in enumerate(prompts):
            texts = [f"{prompt[-1]['content']} ({len(prompt)}/{i})" for i in range(k)]
            told = [dict(id="r", prompt=j, completion=i, text=t, tokens=2, finish="end", **apart) for i, t in enumerate(texts)]
            rows.append([Completion(**one) for one in told])
        for row in rows:
            for completion in row:
                if apart:
                    on_reply(Token(id="r", prompt=completion.prompt, completion=completion.completion, text="Hm.", thought=True))
                on_reply(Token(id="r", prompt=completion.prompt, completion=completion.completion, text=completion.text))
                on_reply(completion)
        return rows


@pytest.fixture
def worker(monkeypatch):
    made = EchoWorker()
    monkeypatch.setattr(desk_module, "ChatWorker", lambda: made)
    return made


@pytest.fixture
def no_worker(monkeypatch):
    def refuse():
        raise AssertionError("a worker was started")

    monkeypatch.setattr(desk_module, "ChatWorker", refuse)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "p.jsonl is empty."),
        ("Dear team,\n", "p.jsonl, line 1: it is not JSON."),
        (
            json.dumps({"prompt": "ok"}) + "\n" + json.dumps({"prompt": "x" * 10**6}) + "\n",
            "line 2: the prompt has 1,000,000 characters",
        ),
    ],
)
def test_a_prompts_file_that_cannot_be_used(cli, model, no_worker, tmp_path, text, said):
    (tmp_path / "p.jsonl").write_text(text)
    out = tmp_path / "out.jsonl"
    result = cli("generate", "--prompts", tmp_path / "p.jsonl", "--out", out, "--model", model, "--json")
    assert result.code == 1
    assert said in result.json["error"]["message"]
    assert result.json["error"]["hint"]
    assert not out.exists()


def test_a_missing_file_adapter_or_model(cli, model, no_worker, tmp_path):
    prompts = write_rows(tmp_path / "p.jsonl", {"prompt": "Hello"})
    words = ["generate", "--out", tmp_path / "o.jsonl", "--json", "--prompts"]
    assert "There is no file" in cli(*words, tmp_path / "no.jsonl", "--model", model).json["error"]["message"]
    assert "no adapter called “No”" in cli(*words, prompts, "--model", model, "--adapter", "No").json["error"]["message"]
    missing = cli(*words, prompts, "--model", "nothing")
    assert (missing.code, missing.json["error"]["message"]) == (1, "There is no model called “nothing”.")
    assert not (tmp_path / "o.jsonl").exists()


def test_a_model_folder_without_weights_is_not_added(cli, tmp_path):
    folder = tmp_path / "hollow"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    said = cli("models", "add", folder, "--json")
    assert said.code == 1
    assert "has no weights" in said.json["error"]["message"]
    assert said.json["error"]["hint"]
    assert cli("models", "list", "--json").json["models"] == []


def test_models_are_listed_and_removed(cli, model, tmp_path):
    (listed,) = cli("models", "list", "--json").json["models"]
    assert (listed["name"], listed["parameters"]) == ("tiny", 1)
    assert cli("models", "remove", "tiny").code == 0
    assert (tmp_path / "tiny" / "config.json").exists()
    assert cli("models", "remove", "tiny").code == 1


def test_the_model_is_held_as_asked_for(cli, model, worker, tmp_path):
    prompts = write_rows(tmp_path / "p.jsonl", {"prompt": "Hello"})
    words = ["generate", "--prompts", prompts, "--out", tmp_path / "o.jsonl", "--model", model]
    for flags in ([], ["--quantization", "4bit"], ["--quantization", "none"]):
        assert cli(*words, *flags).code == 0
    assert cli("chat", "--prompt", "Hello", "--model", model, "--quantization", "4bit").code == 0
    assert worker.held == ["none", "4bit", "none", "4bit"]


def test_generate_writes_k_answers_a_prompt_whole(cli, model, worker, tmp_path):
    prompts = write_rows(tmp_path / "p.jsonl", {"prompt": "Hello"}, {"prompt": "Bye"})
    said = cli("generate", "--prompts", prompts, "-k", "2", "--model", model, "--out", tmp_path / "o.jsonl", "--json")
    assert said.json["completions"] == 4
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert rows[1] == {
        "prompt": [{"role": "user", "content": "Bye"}],
        "completions": [{"text": "Bye (1/0)"}, {"text": "Bye (1/1)"}],
    }


def test_one_question_is_streamed_or_given_as_json(cli, model, worker):
    assert cli("chat", "--prompt", "Hello", "--model", model).out == "Hello (1/0)\n"
    answer = cli("chat", "--prompt", "Hello", "--model", model, "--json").json
    assert (answer["answer"], answer["finish"], answer["model"]) == ("Hello (1/0)", "end", "tiny")
    assert cli("chat", "--model", model, "--json").code == 2


def converse(monkeypatch, *lines):
    waiting = iter(lines)

    def prompt(*_args, **_more):
        try:
            return next(waiting)
        except StopIteration:
            raise click.Abort from None

    monkeypatch.setattr(click, "prompt", prompt)


def test_a_conversation_remembers_starts_over_and_asks_again(cli, model, worker, monkeypatch):
    converse(monkeypatch, "One", "Two", "/regenerate", "/new", "Three", "/help", "/quit", "never asked")
    said = cli("chat", "--model", model)
    assert said.code == 0
    assert [len(messages) for messages in worker.asked] == [1, 3, 3, 1]
    assert worker.asked[1][1] == {"role": "assistant", "content": "One (1/0)"}
    assert worker.seeds == [0, 0, 1, 1]
    assert "Commands: /regenerate, /continue, /attach FILE, /new, /quit." in said.out


def test_ctrl_d_ends_the_conversation(cli, model, worker, monkeypatch):
    converse(monkeypatch)
    assert cli("chat", "--model", model).code == 0


def test_a_trouble_ends_the_answer_and_not_the_conversation(cli, model, worker, monkeypatch):
    worker.fail = True
    converse(monkeypatch, "/regenerate", "One")
    said = cli("chat", "--model", model)
    assert said.code == 0
    assert "There is no answer to replace yet" in said.out
    assert "The conversation is too long. Start a new one." in said.err


def test_a_thought_is_told_apart_and_only_where_it_is_asked_for(cli, model, worker, tmp_path):
    asked = ("chat", "--prompt", "Why?", "--model", model)
    room = ("--max-thought-tokens", "64")
    assert cli(*asked).out == "Why? (1/0)\n"
    said = cli(*asked, *room)
    assert (said.out, "thought for 3 tokens" in said.err) == ("Why? (1/0)\n", True)
    made = cli(*asked, *room, "--json").json
    assert (made["answer"], made["thought"], made["thought_tokens"], made["tokens"]) == ("Why? (1/0)", "Hm.", 3, 2)
    prompts = write_rows(tmp_path / "p.jsonl", {"prompt": "Why?"})
    cli("generate", "--prompts", prompts, "--model", model, "--out", tmp_path / "o.jsonl", *room)
    (answer,) = json.loads((tmp_path / "o.jsonl").read_text())["completions"]
    assert answer == {"text": "Why? (1/0)", "thought": "Hm."}
    assert worker.rooms == [0, 64, 64, 64]


def test_a_file_stands_before_the_question(cli, model, worker, tmp_path):
    (tmp_path / "terms.md").write_text("Returns within 30 days.")
    said = cli("chat", "--prompt", "How long?", "--attach", tmp_path / "terms.md", "--model", model, "--json")
    assert said.json["prompt"] == "File: terms.md\n```text\nReturns within 30 days.\n```\n\nHow long?"
    assert worker.asked == [[{"role": "user", "content": said.json["prompt"]}]]
    assert "Attached terms.md: whole, about 7 tokens." in said.err


def test_pages_of_a_file_are_chosen(cli, model, worker, tmp_path):
    (tmp_path / "a.pdf").write_bytes(pdf_bytes(["One", "Two", "Three"]))
    asked = ("chat", "--prompt", "Why?", "--attach", tmp_path / "a.pdf", "--model", model, "--json")
    assert cli(*asked, "--pages", "2-3").json["prompt"] == "File: a.pdf (pages 2-3 of 3)\n```text\nTwo\n\nThree\n```\n\nWhy?"
    assert cli(*asked, "--pages", "9").json["error"]["message"] == "There is no page 9."
    assert cli(*asked, "--attach", tmp_path / "a.pdf", "--pages", "1").code == 2


def test_more_than_the_model_takes_is_refused_before_it_is_loaded(cli, model, worker, tmp_path, monkeypatch):
    monkeypatch.setattr(talk, "context_tokens", lambda base: 1024)
    (tmp_path / "long.txt").write_text("One word after the other. " * 400)
    said = cli("chat", "--prompt", "Why?", "--attach", tmp_path / "long.txt", "--model", model, "--json")
    assert said.json["error"]["message"].startswith("This is about 2,")
    assert "Choose fewer pages" in said.json["error"]["hint"]
    assert worker.held == []


def test_a_file_is_attached_in_the_middle_of_a_conversation(cli, model, worker, tmp_path, monkeypatch):
    (tmp_path / "my terms.txt").write_text("30 days.")
    converse(monkeypatch, "One", f"/attach {tmp_path / 'my terms.txt'}", "/attach /nowhere.pdf", "Two", "Three")
    said = cli("chat", "--model", model)
    asked = [messages[-1]["content"] for messages in worker.asked]
    assert asked == ["One", "File: my terms.txt\n```text\n30 days.\n```\n\nTwo", "Three"]
    assert "There is no file “nowhere.pdf”." in said.err


def test_saved_instructions_stand_first_and_stay_in_a_new_conversation(cli, model, worker, monkeypatch):
    assert cli("conversations", "list").code == 0  # makes the workspace
    with Store.open(cli.workspace.database) as store:
        save_instructions(store, store.projects.all()[0], "Kitchen shop", "Be brief.")
    told = {"role": "system", "content": "Be brief."}
    assert cli("chat", "--model", model, "--instructions", "kitchen SHOP", "--prompt", "Hello", "--json").code == 0
    assert worker.asked[-1] == [told, {"role": "user", "content": "Hello"}]
    lines = iter(["/regenerate", "Hello", "/new", "Again", "/quit"])
    monkeypatch.setattr(talk, "_read_line", lambda: next(lines))
    said = cli("chat", "--model", model, "--instructions", "Kitchen shop")
    assert "There is no answer to replace yet" in said.out + said.err
    assert worker.asked[-1] == [told, {"role": "user", "content": "Again"}]
    unknown = cli("chat", "--model", model, "--instructions", "Garden", "--prompt", "Hello")
    assert (unknown.code, "Saved are: “Kitchen shop”." in unknown.err) == (1, True)


def test_an_answer_that_was_cut_is_continued(cli, model, worker, monkeypatch):
    plain_generate = worker.generate

    def generate(prompts, k=1, adapter=None, sampling=None, seed=0, on_reply=None, begun=None):
        if begun is None:
            ((answer,),) = plain_generate(prompts, k, adapter, sampling, seed, lambda _reply: None)
            answer = answer.model_copy(update={"finish": "length", "written": Written(answer=[5])})
        else:
            assert begun.written == Written(answer=[5])
            answer = Completion(id="r", prompt=0, completion=0, text=f"{begun.text} and so on", tokens=4, finish="end")
        for part in (answer.text[:3], answer.text[3:]):
            on_reply(Token(id="r", prompt=0, completion=0, text=part))
        return [[answer]]

    monkeypatch.setattr(worker, "generate", generate)
    lines = iter(["/continue", "Hello", "/continue", "/continue", "And?", "/quit"])
    monkeypatch.setattr(talk, "_read_line", lambda: next(lines))
    said = cli("chat", "--model", model)
    assert "/continue goes on from here" in said.out + said.err
    assert (said.out + said.err).count("There is no answer that was cut.") == 2  # before there is one, and once it is whole
    assert said.out.count(" and so on") == 1
    assert said.out.count("Hello (1/0)") == 1  # what was there is not said twice
    assert worker.asked[-1][1] == {"role": "assistant", "content": "Hello (1/0) and so on"}
