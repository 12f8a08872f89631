"""The demo's steps, with a worker and a trainer that answer at once: what it keeps, splits, repeats and reports."""

import json
from dataclasses import replace

import pytest

from rlhf_desktop.core.errors import BadInput, ModelTrouble, NoSpace, WorkerTrouble
from rlhf_desktop.core.files import append_jsonl
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.protocol import Completion, LikelihoodResult
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.feedback.snapshot import RankedAnswers, read_snapshot
from rlhf_desktop.feedback.support_rule import PARTS
from rlhf_desktop.hub.library import Library
from rlhf_desktop.jobs.queue import Queue, run_folders
from rlhf_desktop.operations.demo import QUICK, RULE_ANNOTATOR, SAMPLE_PROJECT, STEPS, THOROUGH, Demo, finish, read_report, run_demo
from rlhf_desktop.operations.demo_report import WIDTH, render_report
from rlhf_desktop.operations.demo_time import Foresight
from rlhf_desktop.operations.preflight import Preflight
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.shelf import ConversationQuery

SIZE = replace(QUICK, name="tiny", feedback_prompts=6, check_prompts=2, heldout_prompts=5, heldout_answers=2)
GOOD = (
    "I'm so sorry about the trouble with your {product}. Please send me the order number and I'll arrange a new one for you today."
)
POOR = "There are many reasons for this, and it depends on the situation that you find yourself in at the moment of buying a thing"


class FakeWorker:
    """Answers badly as the base, well in two of three prompts as SFT, well always as the tuned model."""

    def __init__(self, products):
        self.products = products

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def load(self, base):
        return None

    def generate(self, prompts, k, adapter, sampling, seed):
        return [[self._answer(i, j, prompt, adapter) for j in range(k)] for i, prompt in enumerate(prompts)]

    def _answer(self, i, j, prompt, adapter):
        good = adapter and ("PPO" in adapter.name or i % 3)
        text = GOOD.format(product=self.products[prompt[-1]["content"]]) if good else POOR
        return Completion(id="r", prompt=i, completion=j, text=text, tokens=20, finish="end" if good else "length")

    def likelihood(self, adapter, prompts, completions):
        assert adapter is None  # perplexity is measured under the base itself
        shape = [[1 for _ in row] for row in completions]
        return LikelihoodResult(id="r", logprobs=[[-2.0 for _ in row] for row in shape], tokens=shape)


class FakeQueue(Queue):
    """Trains at once: events, a result and a status; or fails as many times as told."""

    failures = 0

    def ensure_supervisor(self):
        for run in run_folders(self.workspace):
            if run.status().state == "queued":
                self._train(run)

    def _train(self, run):
        if self.failures:
            self.failures -= 1
            run.write_status(run.status().model_copy(update={"state": "failed", "message": "The trainer ran out of memory."}))
            return
        name = {"reward": "eval/rewards/accuracies", "ppo": "objective/kl"}.get(run.config().algorithm, "loss")
        append_jsonl(run.events, {"type": "metrics", "seq": 0, "time": 1.0, "step": 1, "values": {name: 0.8}})
        append_jsonl(run.events, {"type": "finished", "seq": 1, "time": 2.0, "outcome": "done", "metrics": {}})
        run.adapter.mkdir()
        (run.adapter / "adapter_config.json").write_text("{}")
        (run.adapter / "adapter_model.safetensors").write_bytes(run.config().algorithm.encode())
        run.write_status(run.status().model_copy(update={"state": "done"}))


class FakeLibrary:
    def ensure_starter(self, progress=None):
        return ModelRef(name="starter", path="/nowhere", hash="abc")


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "workspace").ensure()


@pytest.fixture
def store(workspace):
    with Store.open(workspace.database) as opened:
        yield opened


@pytest.fixture(autouse=True)
def looked(monkeypatch):
    """What the look before each run finds, and the plans it was asked about."""
    seen = {"found": Preflight(()), "plans": []}

    def look(_store, _workspace, _project, plan, **_files):
        seen["plans"].append(plan)
        return seen["found"]

    monkeypatch.setattr("rlhf_desktop.operations.preflight.preflight", look)
    return seen


@pytest.fixture
def make(workspace, store):
    def build(queue=None, size=SIZE, chat=None, foresight=lambda *_: Foresight(1.0, 500.0)):
        events = []
        demo = Demo(
            workspace, store, queue or FakeQueue(workspace), FakeLibrary(), size=size, progress=events.append, foresight=foresight
        )
        products = {row.prompt: row.product[0] for part in demo.prompts.values() for row in part}
        demo.chat = chat or (lambda: FakeWorker(products))
        return demo, events

    return build


def test_a_run_that_cannot_work_is_refused_before_it_is_queued(make, workspace, looked):
    looked["found"] = Preflight((), (NoSpace("The disk is full.", "Free 2 GB."),))
    demo, _ = make()
    with pytest.raises(NoSpace, match="The disk is full"):
        finish(demo)
    assert [plan.algorithm for plan in looked["plans"]] == ["sft"]
    assert run_folders(workspace) == []
    looked["found"] = Preflight(())
    finish(make()[0])
    assert [plan.algorithm for plan in looked["plans"]] == ["sft", "sft", "reward", "ppo"]


def test_what_stops_the_demo_whatever_the_model_is_said_before_one_is_prepared(tmp_path, monkeypatch):
    monkeypatch.setattr(Library, "ensure_starter", lambda *_: pytest.fail("the starter model was prepared"))
    monkeypatch.setattr("rlhf_desktop.operations.demo.QUICK", replace(QUICK, sft={**QUICK.sft, "epochs": 0}))
    with pytest.raises(BadInput, match="epochs = 0 does not work"):
        run_demo(Workspace(tmp_path / "new"), progress=lambda _: None)
    assert not (tmp_path / "new" / "demo.json").exists()


def test_the_whole_loop_reports_what_the_answers_deserve(make, workspace):
    demo, events = make()
    report = finish(demo)
    assert report == read_report(workspace)
    assert {win.against: win.rate for win in report.wins} == {"base": 1.0, "sft": pytest.approx((3 / 5) * 0.5 + 2 / 5)}
    assert report.models["tuned"].rates["full"] == 1
    assert report.models["base"].rates["full"] == 0
    assert report.models["base"].perplexity == pytest.approx(7.389, abs=1e-3)
    assert (report.reward_accuracy, report.kl) == (0.8, 0.8)
    assert report.feedback_answers == 8 * 4
    assert [event.number for event in events] == sorted(event.number for event in events)
    assert {event.step for event in events} == {step.name for step in STEPS}


def test_every_answer_is_kept_and_ranked_in_a_shuffled_order(make, store):
    demo, _ = make()
    finish(demo)
    rankings = [j for j in store.judged(demo.project.id) if j.judgement.who == RULE_ANNOTATOR]
    assert [len(item.completions) for item in rankings] == [4] * 8
    assert len({tuple(text == POOR for text in item.completions) for item in rankings}) > 1
    kept = [
        demo.store.conversations.tree(c.conversation.id)
        for c in store.conversations.page(demo.project.id, ConversationQuery("sample")).rows
    ]
    answers = [node for tree in kept for node in tree.nodes if node.generator_id]
    assert len(answers) == 8 * 4 + 5 * 3 * 2


def test_the_reward_model_and_ppo_start_from_what_the_examples_made(make, looked):
    demo, _ = make()
    finish(demo)
    starts = {plan.algorithm: plan.start for plan in looked["plans"]}
    assert starts == {"sft": None, "reward": demo.adapter("sft"), "ppo": demo.adapter("sft")}


def test_the_rule_marks_the_parts_beside_its_ranking(make, store):
    demo, _ = make()
    finish(demo)
    for item in (j for j in store.judged(demo.project.id) if j.judgement.who == RULE_ANNOTATOR):
        (said,) = item.judgement.also
        assert [rating.attribute for rating in said.ratings] == [*PARTS, "manner"]
        given = dict(zip(item.completions, zip(*(rating.scores for rating in said.ratings), strict=True), strict=True))
        assert given.pop(POOR) == (1, 1, 1, 2, 1, 2)
        assert set(given.values()) <= {(2, 2, 2, 2, 2, 2)}


def test_heldout_prompts_reach_no_training_row(make):
    demo, _ = make()
    finish(demo)
    held = {p.prompt for p in demo.prompts["heldout"] + demo.prompts["check"]}
    trained = {
        row.prompt[-1]["content"] for run in run_folders(demo.workspace) for row in read_snapshot(run.data) if row.split == "train"
    }
    assert trained == {p.prompt for p in demo.prompts["sft"] + demo.prompts["feedback"]}
    assert not trained & held


def test_the_reward_model_is_measured_on_the_check_prompts_only(make):
    demo, _ = make()
    finish(demo)
    rows = read_snapshot(demo.queue.find(demo.state.runs["reward"]).data)
    checked = {row.prompt[-1]["content"] for row in rows if isinstance(row, RankedAnswers) and row.split == "heldout"}
    assert checked == {p.prompt for p in demo.prompts["check"]}


def test_an_interrupted_demo_goes_on_where_it_ended(make, store):
    def no_worker():
        raise ModelTrouble("The worker is gone.", "Try again.")

    demo, _ = make(chat=no_worker)
    with pytest.raises(ModelTrouble):
        finish(demo)
    again, _ = make()
    assert [step.name for step in again.remaining()] == [step.name for step in STEPS[2:]]
    assert again.state.runs == demo.state.runs
    finish(again)
    assert [project.name for project in store.projects.all()] == [SAMPLE_PROJECT]


def test_how_long_it_takes_is_said_before_it_begins(make):
    demo, events = make()
    finish(demo)
    first = next(event for event in events if event.step == "sft")
    assert (first.foreseen_s, first.share) == (500.0, 1.0)
    assert any(event.step == "prepare" and event.foreseen_s == 500.0 for event in events)


def test_a_slow_computer_does_a_share_and_keeps_to_it_when_it_goes_on(make):
    def no_worker():
        raise ModelTrouble("The worker is gone.", "Try again.")

    size = replace(SIZE, feedback_prompts=40, check_prompts=8, heldout_prompts=24, heldout_answers=1)
    demo, _ = make(size=size, chat=no_worker, foresight=lambda *_: Foresight(0.5, 700.0))
    with pytest.raises(ModelTrouble):
        finish(demo)
    again, events = make(size=size, foresight=lambda *_: pytest.fail("it measures again"))
    report = finish(again)
    assert report.feedback_answers == (20 + 4) * 4
    assert report.wins[0].prompts == 12
    assert {event.share for event in events} == {0.5}


def test_a_computer_that_cannot_be_measured_does_all_of_it(make):
    def fails(*_):
        raise WorkerTrouble("The model could not be measured.", "Try again.")

    demo, events = make(foresight=fails)
    assert finish(demo).feedback_answers == 8 * 4
    assert {(event.foreseen_s, event.share) for event in events} == {(None, 1.0)}


def test_a_failed_run_is_told_and_trained_anew(make, workspace):
    queue = FakeQueue(workspace)
    queue.failures = 1
    demo, _ = make(queue)
    with pytest.raises(WorkerTrouble, match="ran out of memory"):
        finish(demo)
    failed = demo.state.runs["sft"]
    again, _ = make(queue)
    finish(again)
    assert again.state.runs["sft"] != failed


def test_a_second_demo_has_its_own_project_and_spares_the_users(make, store):
    store.projects.create(SAMPLE_PROJECT.upper())  # the user's own, by chance
    finish(make()[0])
    finish(make()[0])
    names = [project.name for project in store.projects.all()]
    assert names == [SAMPLE_PROJECT.upper(), f"{SAMPLE_PROJECT} 2", f"{SAMPLE_PROJECT} 3"]
    mine = store.projects.by_name(SAMPLE_PROJECT)
    assert store.judged(mine.id) == []


def test_the_rendered_report_fits_the_terminal_and_says_the_numbers(make):
    text = render_report(finish(make()[0]), samples=2)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "over before            100%   95% interval 57% to 100%; 0% ties, 5 prompts" in text
    assert text.count("tuned (5 of 5)") == 2


def test_control_characters_of_a_model_do_not_reach_the_terminal(make):
    report = finish(make()[0])
    sample = report.samples[0].model_copy(update={"answers": {**report.samples[0].answers, "base": "red \x1b[31m\x07alert"}})
    text = render_report(report.model_copy(update={"samples": [sample]}))
    assert "\x1b" not in text
    assert "\x07" not in text


def test_thorough_is_as_large_as_promised():
    assert THOROUGH.feedback_prompts >= 96
    assert THOROUGH.base_answers + THOROUGH.sft_answers >= 4
    assert THOROUGH.heldout_prompts == 64
    assert THOROUGH.feedback_prompts + THOROUGH.check_prompts <= 112


def test_the_thorough_reward_model_judges_mostly_what_practice_will_show_it():
    assert THOROUGH.sft_answers > 2 * THOROUGH.base_answers > 0
    practised = THOROUGH.ppo["temperature"]
    assert practised <= THOROUGH.feedback_sampling.temperature <= practised + 0.2
    assert THOROUGH.feedback_sampling.max_new_tokens >= THOROUGH.ppo["max_new_tokens"]


def test_the_state_file_is_plain_json(make, workspace):
    finish(make()[0])
    state = json.loads((workspace.root / "demo.json").read_text())
    assert state["done"] == [step.name for step in STEPS]
