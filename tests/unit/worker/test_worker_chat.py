"""The inference worker as a real process, spoken to over pipes."""

import json
import shutil
import subprocess
from itertools import chain
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rlhf_desktop.core.commands import package_parent, worker_command, worker_environment
from rlhf_desktop.core.files import sha256_file
from rlhf_desktop.core.protocol import (
    Begun,
    Cancel,
    Completion,
    Done,
    Generate,
    Likelihood,
    LikelihoodResult,
    Load,
    Loaded,
    Measure,
    Measured,
    Sampling,
    Score,
    Shutdown,
    Token,
    Trouble,
    Unload,
    parse_reply,
)
from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.training.reward_model import HEAD, RewardModel

PROMPTS = [[{"role": "user", "content": "Why?"}], [{"role": "user", "content": "My printer é😀 does not print."}]]
ENDLESS = Sampling(temperature=1.0, top_p=1.0, max_new_tokens=400)


class Worker:
    """Sends requests and reads replies; a reply that never comes fails by the test's time limit."""

    def __init__(self):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            worker_command("chat"),
            cwd=package_parent(),
            env=worker_environment(),
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.DEVNULL,
        )
        self.ready = self.read()

    def read(self):
        line = self.process.stdout.readline()
        assert line, "the worker has ended"
        return parse_reply.validate_json(line)

    def send(self, request):
        self.process.stdin.write(request.model_dump_json().encode() + b"\n")
        self.process.stdin.flush()

    def until_done(self, request_id):
        replies = []
        while not replies or not (isinstance(replies[-1], Done | Trouble) and replies[-1].id == request_id):
            replies.append(self.read())
        return replies

    def ask(self, request):
        self.send(request)
        return self.until_done(request.id)


@pytest.fixture(scope="module")
def worker(tiny_model):
    running = Worker()
    running.ask(Load(id="load", base=tiny_model, dtype="float32"))
    yield running
    running.process.stdin.close()
    assert running.process.wait(300) == 0
    running.process.stdout.close()


@pytest.fixture(scope="module")
def adapter(tiny_model, tmp_path_factory):
    """A PEFT adapter, written by peft itself, that changes the answers."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("adapter")
    model = AutoModelForCausalLM.from_pretrained(tiny_model.path)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        get_peft_model(model, config).save_pretrained(folder)
    return reference(folder, tiny_model)


def reference(folder, base):
    return AdapterRef(
        name=folder.name, path=str(folder), hash=sha256_file(folder / "adapter_model.safetensors"), base_hash=base.hash
    )


def completions(replies):
    return {(r.prompt, r.completion): r.text for r in replies if isinstance(r, Completion)}


def test_it_says_hello(worker):
    assert worker.ready.pid == worker.process.pid


def test_k_answers_streamed_as_whole_characters(worker):
    replies = worker.ask(Generate(id="g", prompts=PROMPTS, k=3, sampling=ENDLESS.model_copy(update={"max_new_tokens": 40})))
    whole = completions(replies)
    assert set(whole) == {(p, c) for p in range(2) for c in range(3)}
    streamed = dict.fromkeys(whole, "")
    for reply in replies:
        if isinstance(reply, Token):
            assert reply.text
            streamed[reply.prompt, reply.completion] += reply.text
    assert streamed == whole
    assert len(set(whole.values())) == 6
    done = replies[-1]
    assert not done.cancelled
    assert done.stats["tokens"] == sum(r.tokens for r in replies if isinstance(r, Completion))
    assert {"wall_s", "tokens_per_s", "peak_rss_bytes"} <= set(done.stats)


def test_an_answer_is_measured_cut_and_continued_over_the_wire(worker, adapter):
    measured, done = worker.ask(Measure(id="m", prompt=PROMPTS[1], sampling=Sampling(max_new_tokens=16)))
    assert isinstance(measured, Measured)
    assert (measured.limit, measured.left_out, done.id) == (512, 0, "m")

    def ask(new, begun=None):
        sampling = Sampling(temperature=0, max_new_tokens=new)
        replies = worker.ask(Generate(id="c", prompts=PROMPTS[1:], adapter=adapter, sampling=sampling, begun=begun))
        return next(reply for reply in replies if isinstance(reply, Completion))

    whole, cut = ask(16), ask(6)
    assert ask(10, Begun(text=cut.text, written=cut.written)) == whole


def test_the_same_request_has_the_same_answers(worker):
    def ask(seed):
        return completions(worker.ask(Generate(id="s", prompts=PROMPTS, k=2, seed=seed, stream=False)))

    assert ask(7) == ask(7)
    assert ask(7) != ask(8)


def test_without_stream_there_are_no_tokens(worker):
    replies = worker.ask(Generate(id="q", prompts=PROMPTS, stream=False))
    assert not [r for r in replies if isinstance(r, Token)]


def test_cancel_stops_a_running_request_and_one_that_waits(worker):
    endless = Sampling(temperature=0, max_new_tokens=400)
    worker.send(Generate(id="running", prompts=PROMPTS, k=8, sampling=endless))
    worker.send(Generate(id="waiting", prompts=PROMPTS, k=2, sampling=endless))
    first = worker.read()
    assert first.id == "running"
    worker.send(Cancel(id="c2", target="waiting"))
    worker.send(Cancel(id="c1", target="running"))
    replies = worker.until_done("waiting")
    done = {r.id: r for r in replies if isinstance(r, Done)}
    assert done["running"].cancelled
    assert done["waiting"].cancelled
    ended = [r for r in replies if isinstance(r, Completion)]
    assert [r.finish for r in ended] == ["cancelled"] * 20
    assert all(0 < r.tokens < 400 for r in ended if r.id == "running")
    assert all(r.text == "" for r in ended if r.id == "waiting")


def test_an_adapter_is_switched_on_and_off(worker, adapter):
    def ask(which):
        request = Generate(
            id="a", prompts=PROMPTS, adapter=which, sampling=Sampling(temperature=0, max_new_tokens=20), stream=False
        )
        return completions(worker.ask(request))

    plain = ask(None)
    tuned = ask(adapter)
    assert tuned != plain
    assert ask(None) == plain
    assert ask(adapter) == tuned


def test_many_adapters_come_and_go(worker, adapter, tiny_model, tmp_path):
    tensors = load_file(Path(adapter.path) / "adapter_model.safetensors")
    found = []
    for i in range(6):  # more than are kept
        folder = tmp_path / f"a{i}"
        shutil.copytree(adapter.path, folder)
        save_file({key: tensor * (1 + i) for key, tensor in tensors.items()}, folder / "adapter_model.safetensors")
        request = Likelihood(id="m", adapter=reference(folder, tiny_model), prompts=PROMPTS, completions=[["Yes."], ["No."]])
        found.append(tuple(row[0] for row in worker.ask(request)[0].logprobs))
    assert len(set(found)) == 6
    first = Likelihood(id="m", adapter=reference(tmp_path / "a0", tiny_model), prompts=PROMPTS, completions=[["Yes."], ["No."]])
    assert tuple(row[0] for row in worker.ask(first)[0].logprobs) == pytest.approx(found[0], abs=1e-4)


def test_an_adapter_of_another_base_is_refused(worker, adapter):
    stranger = adapter.model_copy(update={"base_hash": "0" * 64})
    (reply,) = worker.ask(Generate(id="x", prompts=PROMPTS, adapter=stranger))
    assert isinstance(reply, Trouble)
    assert "another base model" in reply.message
    assert reply.hint


def test_a_policy_adapter_cannot_score(worker, adapter):
    (reply,) = worker.ask(Score(id="x", reward=adapter, prompts=PROMPTS, completions=[["Yes."], ["No."]]))
    assert "does not score" in reply.message


@pytest.mark.parametrize("members", [1, 3])
def test_scores_come_with_their_spread_where_there_are_several_scorers(worker, tiny_model, tmp_path, members):
    host = AdapterHost(load_base(tiny_model, dtype="float32"))
    model = RewardModel.create(host, count=members, rank=2, alpha=4, seed=members)
    masters = {f"{m.name}/{name}": p for m in model.members for name, p in host.parameters(m.name).items()}
    model.save(tmp_path, masters | {f"{m.name}/{HEAD}": m.head for m in model.members}, {})
    request = Score(id="s", reward=reference(tmp_path, tiny_model), prompts=PROMPTS, completions=[["Yes.", "No."], ["Perhaps."]])
    found = worker.ask(request)[0]
    assert [len(row) for row in found.scores] == [2, 1]
    if members == 1:
        assert found.std is found.least is None
    else:
        numbers = zip(*(chain(*part) for part in (found.scores, found.std, found.least)), strict=True)
        assert all(std > 0 and mean - 3 * std < least < mean for mean, std, least in numbers)


def test_likelihoods_count_the_end_of_turn(worker):
    answers = [["Yes.", "No, never."], []]
    result, done = worker.ask(Likelihood(id="l", prompts=PROMPTS, completions=answers))
    assert isinstance(result, LikelihoodResult)
    assert [len(row) for row in result.logprobs] == [2, 0]
    assert result.tokens[0][0] >= 2
    assert all(value < 0 for value in result.logprobs[0])
    assert done.stats["tokens"] == sum(result.tokens[0])


def test_a_message_longer_than_the_model_reads_is_refused(worker):
    (reply,) = worker.ask(Generate(id="x", prompts=[[{"role": "user", "content": "word " * 2000}]]))
    assert "too long" in reply.message


def test_nonsense_is_answered_and_survived(worker):
    worker.process.stdin.write(b'{"op": "fly", "id": "n"}\nnot json\n')
    worker.process.stdin.flush()
    assert [worker.read().id, worker.read().id] == ["n", ""]
    assert isinstance(worker.ask(Likelihood(id="l", prompts=[], completions=[]))[-1], Done)


def test_unload_then_load_again(worker, tiny_model):
    worker.ask(Unload(id="u"))
    (reply,) = worker.ask(Generate(id="g", prompts=PROMPTS))
    assert reply.message == "No model is loaded."
    *shares, loaded, _ = worker.ask(Load(id="l", base=tiny_model, dtype="float32"))
    assert [reply.type for reply in shares] == ["loading"] * len(shares)
    assert shares[-1].share == 1
    assert isinstance(loaded, Loaded)
    assert (loaded.device, loaded.dtype) == ("cpu", "float32")


def test_shutdown():
    worker = Worker()
    worker.send(Shutdown(id="s"))
    assert worker.until_done("s")
    assert worker.process.wait(300) == 0
    worker.process.stdin.close()
    worker.process.stdout.close()


def test_probe_prints_one_json_object():
    done = subprocess.run(worker_command("probe"), cwd=package_parent(), env=worker_environment(), capture_output=True, check=True)
    facts = json.loads(done.stdout)
    assert facts["fast_dtype"] in ("float32", "float16", "bfloat16")
    *_, last = facts["devices"]
    assert (last["id"], last["kind"], last["uuid"]) == ("cpu", "cpu", "")
    default = next(each for each in facts["devices"] if (each["name"], each["uuid"]) == (facts["name"], facts["uuid"]))
    assert all(default[key] == facts[key] for key in ("memory_total_bytes", "memory_available_bytes", "fast_dtype"))
    assert 0 < facts["memory_available_bytes"] <= facts["memory_total_bytes"]
    assert facts["versions"]["torch"] == torch.__version__


def test_a_damaged_adapter_is_refused_and_the_next_one_works(worker, adapter, tiny_model, tmp_path):
    folder = shutil.copytree(adapter.path, tmp_path / "a")
    tensors = load_file(folder / "adapter_model.safetensors")
    save_file({f"{key}.other": tensor for key, tensor in tensors.items()}, folder / "adapter_model.safetensors")
    damaged = reference(folder, tiny_model)
    for _ in range(2):
        (reply,) = worker.ask(Likelihood(id="d", adapter=damaged, prompts=PROMPTS[:1], completions=[["Yes."]]))
        assert "is refused" in reply.message
    result, _ = worker.ask(Likelihood(id="d", adapter=adapter, prompts=PROMPTS[:1], completions=[["Yes."]]))
    assert isinstance(result, LikelihoodResult)
