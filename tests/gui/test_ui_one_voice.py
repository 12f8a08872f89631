"""Header, cards, panels, Evaluate, Feedback and the command line say the same of “enough” and “next”, in random project states.

Each state is a project of its own: judgements, prompts, runs as they are left on disk, comparisons. For all of them what the
screens are given, and show, is compared; for some, the window itself and the command line as they are used.
"""

import json
import random
from dataclasses import dataclass, replace

import pytest

from rlhf_desktop.cli import run
from rlhf_desktop.cli.general import _status_text
from rlhf_desktop.core import runs
from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.files import append_jsonl, write_json
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.protocol import Completion, Sampling
from rlhf_desktop.core.recipes import ALGORITHMS
from rlhf_desktop.feedback.conversations import Project, utc_now
from rlhf_desktop.feedback.judgements import Demonstrated, Judgement, Ranking, Thumbs
from rlhf_desktop.jobs.adapters import list_adapters
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations import preflight as looks
from rlhf_desktop.operations.blind import begin_evaluation, judge_pair, next_pair
from rlhf_desktop.operations.history import measure_history
from rlhf_desktop.operations.outlook import outlook
from rlhf_desktop.operations.preflight import preflight
from rlhf_desktop.operations.workload import RunPlan
from rlhf_desktop.store.evaluations import Adoption
from rlhf_desktop.store.history import HistoryQuery
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.evaluate import lookup
from rlhf_desktop.ui.evaluate.home import HomePage
from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.train.overview import Overview
from rlhf_desktop.ui.train.room import TrainRoom

STATES, PARTS = 200, 4
SHOWN = 8  # of them in the window
POLICIES = ("sft", "ppo", "dpo", "kto")


@dataclass(frozen=True)
class State:
    """One drawn project."""

    project: Project
    context: Context  # with the project's own folder of runs
    poor: frozenset[str]  # the runs of reward models that are not shown to beat a coin


class Maker:
    """Draws project states into one store; the runs of each into a folder of its own, or (`together`) into one."""

    def __init__(self, context, seed, together=False):
        self.whole, self.together = context, together
        self.context, self.store, self.chance, self.clock = context, context.store, random.Random(seed), 0

    def states(self, many):
        return [self.state(n) for n in range(many)]

    def state(self, number):
        if not self.together:
            workspace = Workspace(self.whole.workspace.root / f"state-{number}").ensure()
            self.context = replace(self.whole, workspace=workspace, queue=Queue(workspace))
        with self.store.connection.transaction():
            project = self.store.projects.create(f"State {number}")
            self._prompts(project)
            self._judge(project, self.chance.choice((0, 0, 2, 4, 8, 14)))
        poor = set()
        for _ in range(self.chance.choice((0, 1, 1, 2, 3))):
            folder, is_poor = self._run(project)
            if is_poor:
                poor.add(folder.id)
            if folder.adapter.is_dir() and folder.config().algorithm in POLICIES and self.chance.random() < 0.6:
                self._compare(project, folder)
            if self.chance.random() < 0.2:
                with self.store.connection.transaction():
                    self._judge(project, self.chance.choice((5, 5, 35)))
        return State(project, self.context, frozenset(poor))

    def _prompts(self, project):
        for half, many in (("heldout", (0, 1, 7, 8, 20, 45)), ("train", (0, 0, 55))):
            if n := self.chance.choice(many):
                prompts = [[{"role": "user", "content": f"{half} {k}"}] for k in range(n)]
                self.store.prompts.create_set(project.id, half, prompts, half)

    def _judge(self, project, many):
        for _ in range(many):
            self.clock += 1
            _, leaf = self.store.conversations.start(project.id, [{"role": "user", "content": f"Question {self.clock}"}])
            size = self.chance.choice((1, 2, 6, 9))
            nodes = self.store.conversations.add_answers(leaf.id, [f"Answer {k}" for k in range(size)])
            places = tuple(self.chance.sample(range(1, size + 1), size))
            said = Ranking.of(places) if size > 1 else self.chance.choice((Demonstrated(), Thumbs(up=True)))
            made = self.store.judgements.add(Judgement(project.id, "me", tuple(node.id for node in nodes), said))
            if self.chance.random() < 0.05:
                self.store.judgements.withdraw(made.id, "me")

    def _run(self, project):
        """A run folder as supervisor and trainer leave it. Returns it, and whether it holds a poor reward model."""
        algorithm = self.chance.choice(("reward", "reward", *POLICIES))
        base = self.context.session.base
        config = runs.RunConfig(
            run_id=new_id(), created=utc_now(), title=f"Run {new_id()[-6:]}", project_id=project.id, algorithm=algorithm,
            base=base, settings={}, data_sha256="",
        )  # fmt: skip
        folder = RunFolder(self.context.workspace.runs / config.run_id)
        folder.path.mkdir()
        folder.data.write_text("")
        write_json(folder.config_file, config.model_dump(mode="json"))
        state = self.chance.choice(("done", "done", "done", "stopped", "failed", "queued"))
        folder.write_status(runs.RunStatus(state=state, queued_at=1.0))
        measured = self._measured() if algorithm == "reward" else {}
        if state in ("done", "stopped"):
            folder.adapter.mkdir()
            (folder.adapter / "adapter_config.json").write_text("{}")
            (folder.adapter / "adapter_model.safetensors").write_text(folder.id)
            event = runs.Finished(seq=0, time=1.0, outcome="done" if state == "done" else "stopped", metrics=measured)
            append_jsonl(folder.events, event.model_dump(mode="json"))
        poor = not (measured and measured["eval/accuracy_low"] > 0.5 and measured["eval/prompts"] >= 20)
        return folder, algorithm == "reward" and poor

    def _measured(self):
        if self.chance.random() < 0.15:
            return {}
        rate = round(self.chance.uniform(0.2, 0.95), 2)
        around = self.chance.choice((0.05, 0.3))
        low, high = max(0.0, rate - around), min(1.0, rate + around)
        prompts = self.chance.choice((3, 5, 60))
        names = ("eval/rewards/accuracies", "eval/accuracy_low", "eval/accuracy_high", "eval/prompts")
        return dict(zip(names, (rate, low, high, prompts), strict=True))

    def _compare(self, project, folder):
        prompts = list(self.store.questions.heldout(project.id))[: self.chance.choice((3, 8, 16))]
        if not prompts:
            return
        ref = next(info.ref for info in list_adapters(self.context.workspace, "policy") if info.run_id == folder.id)
        pairs = [(prompt, completion("old"), completion("new")) for prompt in prompts]
        with self.store.connection.transaction():
            made = begin_evaluation(
                self.store, project, base=self.context.session.base, old=None, new=ref, sampling=Sampling(), seed=1, answered=pairs
            )
            share, stop = self.chance.choice((0.0, 0.5, 1.0, 1.0)), self.chance.choice((0, 4, 99, 99))
            for _ in range(min(stop, len(pairs))):
                shown = next_pair(self.store, made.id, "me")
                wins = self.chance.random() < share
                judge_pair(self.store, shown, "left" if (shown.left == "new") == wins else "right", who="me", seconds=1)
        if self.chance.random() < 0.3:
            self.store.evaluations.adopt(Adoption(project.id, "me", ref.name, ref.hash, ref.path, folder.id, made.id))


def completion(text):
    return Completion(id="r", prompt=0, completion=0, text=text, tokens=1, finish="end")


@pytest.fixture(autouse=True)
def no_supervisor(monkeypatch):
    monkeypatch.setattr(Queue, "ensure_supervisor", lambda self: None)


def said_of(page):
    """Next step, and what the meters say, of Train's first page."""
    words = {name: card._meter._words.text() for name, card in page.cards.items() if name != "kto"}
    return page.next.text(), words, page.cards["ppo"]._more.text()


@pytest.fixture
def pages(qtbot, context, monkeypatch):
    """Train's room and page, and Evaluate's, outside a window; a look before a run ends where the model would be asked."""

    def stop(*_):
        raise ModelTrouble("Far enough.", "This is a test.")

    monkeypatch.setattr(looks, "check_teachable", stop)
    room, train, evaluate = TrainRoom(context), Overview(), HomePage()
    for widget in (room.widget(), train, evaluate):
        qtbot.addWidget(widget)
    return room, train, evaluate


def check_train(state, found, room, train):
    """Cards, their meters, and which of them is pointed at."""
    room._context = state.context
    _, facts = room._load(state.context.session.base, None)
    train.show_facts(facts, "Tiny", None)
    step, meters, caution = said_of(train)
    assert step == f"{found.step.sentence}."
    assert meters == {name: found.amounts[name].sentence for name in meters}
    assert caution == found.caution
    primary = [name for name, card in train.cards.items() if card.button.property("kind") == "primary"]
    assert primary == [name for name in (found.suggested,) if name not in (None, "kto")]


def check_evaluate(state, found, evaluate):
    """The prompts that are offered, and how far the reward models agree."""
    context = state.context
    home = lookup.facts(context.store, context.queue, context.workspace, state.project, context.session.base)
    evaluate.show_facts(home)
    assert evaluate.next.text() == f"{found.step.sentence}."
    if evaluate.begin.isEnabled():
        assert evaluate._words.text() == found.held_out.sentence
        assert max(evaluate._samples) <= found.held_out.prompts
        assert evaluate.add_prompts.isHidden() == found.held_out.enough
    if found.reward is not None:
        assert {info.run_id: agreed for info, agreed in home.rewards}[found.reward.run_id] == found.reward.agreement


def check_words(state, found):
    """The command line's, and the number above Feedback's list."""
    told = _status_text(state.project.name, found).splitlines()
    assert (told[0], told[-1]) == (f"{state.project.name}: {found.words}", f"{found.step.sentence}.")
    assert all(found.amounts[name].sentence in "\n".join(told) for name in ALGORITHMS)
    assert found.held_out.sentence in told
    assert measure_history(state.context.store, state.project, HistoryQuery()).in_effect == found.judgements


def check_panel(state, found, algorithm, reward=None):
    """The look before a start."""
    context = state.context
    plan = RunPlan(algorithm, context.session.base, reward=reward)
    looked = {finding.name: finding for finding in preflight(context.store, context.workspace, state.project, plan).findings}
    if found.amounts[algorithm].have:
        assert found.amounts[algorithm].sentence in looked["feedback"].sentence
        if reward is not None:
            assert looked["reward model"].sentence == found.reward.agreement.said_of("the reward model")
            assert (looked["reward model"].state == "note") == bool(found.caution)


@pytest.mark.parametrize("part", range(PARTS))
def test_everything_says_the_same_in_random_states_and_no_coin_is_practised_against(context, pages, part):
    room, train, evaluate = pages
    kinds, cautioned = set(), 0
    for state in Maker(context, part).states(STATES // PARTS):
        context.session._project = state.project
        found = outlook(state.context.store, state.context.queue, state.project, context.session.base)
        check_train(state, found, room, train)
        check_evaluate(state, found, evaluate)
        check_words(state, found)
        check_panel(state, found, "reward")
        newest = next(iter(list_adapters(state.context.workspace, "reward")), None)
        if newest is not None:
            check_panel(state, found, "ppo", newest.ref)
        if found.reward is not None and found.reward.run_id in state.poor:
            cautioned += 1
            assert found.caution
            assert found.suggested != "ppo"
        kinds.add(found.step.kind)
    assert len(kinds) >= 4  # of six: each part comes to most of what there is
    assert cautioned > 5


def test_the_window_and_the_command_line_say_the_same(qtbot, context, monkeypatch, capfd):
    base = context.session.base
    monkeypatch.setattr("rlhf_desktop.ui.frame.desk.chosen_model", lambda *_: (base, None))
    states = Maker(context, PARTS, together=True).states(SHOWN)
    window = Window(context)
    window.desk = Desk(context, window)
    qtbot.addWidget(window)
    window.show()
    train, evaluate = window.room("train"), window.room("evaluate")
    for state in states:
        found = outlook(context.store, context.queue, state.project, base)
        said = f"{found.step.sentence}."
        window.show_room("chat")
        context.session.set_project(state.project)
        qtbot.waitUntil(lambda said=said: f"{window.header.next.text()}." == said)
        assert (window.header.count.text(), window.header.project.text()) == (found.words, state.project.name)
        window.show_room("train")
        qtbot.waitUntil(lambda said=said: train.overview.next.text() == said)
        assert said_of(train.overview)[1]["reward"] == found.amounts["reward"].sentence
        window.show_room("evaluate")
        qtbot.waitUntil(lambda said=said: evaluate.home.next.text() == said)
        capfd.readouterr()
        assert run(["--workspace", str(context.workspace.root), "--project", state.project.name, "status", "--json"]) == 0
        assert json.loads(capfd.readouterr().out)["next"]["sentence"] == found.step.sentence
    context.chat.stateChanged.disconnect()
    context.tasks.wait()
