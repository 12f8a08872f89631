"""Publishing with the real client to a Hub on loopback, and getting it back."""

import json
import random

import pytest

from rlhf_desktop.core.errors import BadInput, HubTrouble
from rlhf_desktop.hub.client import Hub
from rlhf_desktop.hub.push import PlannedFile, PushPlan, push
from rlhf_desktop.hub.tokens import Secret


@pytest.fixture
def plan(tmp_path):
    weights = tmp_path / "adapter_model.safetensors"
    weights.write_bytes(bytes(range(256)) * 2000)
    files = (PlannedFile("README.md", b"---\nlicense: mit\n---\n# Kind\n"), PlannedFile("adapter_model.safetensors", weights))
    return PushPlan("amina/kind", "model", (*files, PlannedFile("adapter_config.json", b"{}")))


def test_exactly_the_plan_arrives_and_it_is_private(server, writer, plan):
    said = []
    done = push(writer, plan, said.append)
    repo = server.repos["model", "amina/kind"]
    assert repo.private
    assert {path: len(content) for path, content in repo.files.items() if path != ".gitattributes"} == {
        file.path: file.size for file in plan.files
    }
    assert repo.files["adapter_model.safetensors"] == plan.files[1].content.read_bytes()
    assert (done.url, done.commit, done.created) == (f"{server.url}/amina/kind", repo.commits[-1][0], True)
    assert "3 files" in said[-1]
    assert plan.card.startswith("---")
    assert plan.files[0].sha256 != plan.files[1].sha256


def test_publishing_again_makes_a_version_and_sends_only_what_changed(server, writer, plan):
    push(writer, plan)
    server.seen.clear()
    again = PushPlan(plan.repo, plan.kind, (PlannedFile("README.md", b"# Newer\n"), *plan.files[1:]), tag="v2")
    done = push(writer, again)
    assert not done.created
    assert server.count("PUT", "/lfs/") == 0
    repo = server.repos["model", "amina/kind"]
    assert repo.tags == {"v2": done.commit}
    assert repo.files["README.md"] == b"# Newer\n"
    assert repo.files["adapter_config.json"] == b"{}"


def test_what_is_public_stays_untouched_by_a_private_plan(server, writer, plan):
    server.add("amina/kind", {"README.md": b"public"})
    with pytest.raises(BadInput, match="everybody can read it"):
        push(writer, plan)
    assert server.repos["model", "amina/kind"].files == {"README.md": b"public"}
    push(writer, PushPlan(plan.repo, plan.kind, plan.files, private=False))
    assert "adapter_config.json" in server.repos["model", "amina/kind"].files


def dataset(files, **more):
    return PushPlan("amina/data", "dataset", tuple(PlannedFile(path, b"x") for path in ("README.md", *files)), **more)


def test_files_of_an_earlier_version_are_taken_out_and_others_are_left(server, writer):
    push(writer, dataset(["data/train.jsonl", "data/test.jsonl"]))
    repo = server.repos["dataset", "amina/data"]
    repo.commit({**repo.files, "LICENSE": b"mit", "data/notes.md": b"mine"})
    done = push(writer, dataset(["data/train.jsonl"]))
    assert sorted(repo.files) == [".gitattributes", "LICENSE", "README.md", "data/notes.md", "data/train.jsonl"]
    assert done.removed == ("data/test.jsonl",)
    assert "Removed from it: data/test.jsonl." in done.words
    assert push(writer, dataset(["data/train.jsonl"])).removed == ()


def test_a_scorer_that_a_later_version_no_longer_has_is_taken_out(server, writer, plan, tmp_path):
    (tmp_path / "other").write_bytes(b"other weights")
    first = PushPlan(plan.repo, "model", (*plan.files, PlannedFile("member-1/adapter_model.safetensors", tmp_path / "other")))
    push(writer, first)
    assert push(writer, plan).removed == ("member-1/adapter_model.safetensors",)
    assert "member-1/adapter_model.safetensors" not in server.repos["model", plan.repo].files


def test_what_the_hub_says_of_who_may_read_it_is_reported(server, writer):
    push(writer, dataset([]))
    done = push(writer, dataset([], private=False))
    assert done.private
    assert server.repos["dataset", "amina/data"].private
    assert done.words.startswith("Only your account can read it. The repository was private before and stays so")
    server.repos["dataset", "amina/data"].private = False
    assert push(writer, dataset([], private=False)).words == "Everybody can read it."


@pytest.mark.parametrize(
    ("where", "method"), [("/api/repos/create", "POST"), ("preupload", "POST"), ("objects/batch", "POST"), ("/lfs/", "PUT")]
)
@pytest.mark.parametrize("status", [500, 503, 429])
def test_what_passes_is_tried_again(server, writer, plan, where, method, status):
    server.fail(where, status, times=2, method=method)
    push(writer, plan)
    assert server.repos["model", "amina/kind"].files["adapter_config.json"] == b"{}"


def test_what_lasts_is_said_and_goes_on_later(server, writer, plan):
    server.fail("/commit/", 503, times=99)
    with pytest.raises(HubTrouble, match="a trouble of its own"):
        push(writer, plan)
    server.faults.clear()
    server.seen.clear()
    push(writer, plan)
    assert server.count("PUT", "/lfs/") == 0  # the weights had arrived
    assert server.repos["model", "amina/kind"].files["README.md"]


@pytest.mark.parametrize("seed", range(6))
def test_an_upload_that_breaks_anywhere_is_sent_again(server, writer, plan, seed):
    weights = plan.files[1]
    server.break_in("/lfs/", random.Random(seed).randrange(weights.size), times=2, method="PUT")
    push(writer, plan)
    assert server.repos["model", "amina/kind"].files[weights.path] == weights.content.read_bytes()
    assert server.count("PUT", "/lfs/") == 3


@pytest.mark.parametrize(("where", "offset"), [("/info/lfs/", 40), ("/lfs/", 300_000), ("/commit/", 40)])
def test_an_upload_that_keeps_breaking_is_said_and_goes_on_later(server, writer, plan, where, offset):
    server.break_in(where, offset, times=99)
    with pytest.raises(HubTrouble, match="the connection broke") as caught:
        push(writer, plan)
    assert "try again" in caught.value.hint
    assert set(server.repos["model", "amina/kind"].files) == {".gitattributes"}
    server.faults.clear()
    push(writer, plan)
    assert len(server.repos["model", "amina/kind"].files) == 4


def test_an_answer_that_is_lost_on_its_way(server, writer, plan):
    server.break_at("/commit/", 7)
    push(writer, plan)
    assert server.repos["model", "amina/kind"].files["adapter_config.json"] == b"{}"


def test_who_may_not(server, hub, reader, plan):
    with pytest.raises(HubTrouble, match="needs your Hub token"):
        push(hub, plan)
    with pytest.raises(HubTrouble, match="may not do this") as caught:
        push(reader, plan)
    assert "write permission" in caught.value.hint
    with pytest.raises(HubTrouble, match="does not accept your token"):
        push(Hub(Secret("hf_wrongwrongwrong"), wait=lambda s: None), plan)
    assert server.repos == {}


def test_a_dataset(server, writer):
    rows = json.dumps({"prompt": [], "chosen": [], "rejected": []}).encode()
    plan = PushPlan("amina/pairs", "dataset", (PlannedFile("README.md", b"# Pairs"), PlannedFile("data/train.jsonl", rows)))
    done = push(writer, plan)
    assert done.url.endswith("/datasets/amina/pairs")
    assert server.repos["dataset", "amina/pairs"].files["data/train.jsonl"] == rows


def test_how_far_it_is(server, writer, plan):
    told = []
    push(writer, plan, on_sent=lambda done, total: told.append((done, total)))
    done = [done for done, _ in told]
    assert {total for _, total in told} == {plan.total_bytes}
    assert done[-1] == plan.total_bytes
    assert any(0 < n < plan.total_bytes for n in done)


@pytest.mark.parametrize("after", [0, 3, 9])
def test_stopped_at_any_time_nothing_is_to_be_seen(server, writer, plan, after):
    asked = iter(range(99))
    with pytest.raises(HubTrouble, match="was stopped"):
        push(writer, plan, stop=lambda: next(asked) >= after)
    repo = server.repos.get(("model", "amina/kind"))
    assert repo is None or not set(repo.files) - {".gitattributes"}
    push(writer, plan)
    assert server.repos["model", "amina/kind"].files["adapter_model.safetensors"] == plan.files[1].content.read_bytes()
