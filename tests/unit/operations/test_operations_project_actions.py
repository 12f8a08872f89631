"""A project is made, renamed, copied, put away, deleted and brought back; nothing of it is lost by any of these."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from operations_helpers import BASE, QuietQueue, user

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.feedback.project_presets import OFFLINE, PROJECT_PRESETS, asked_in_words, project_preset
from rlhf_desktop.feedback.protocol import PRESETS, protocol_from
from rlhf_desktop.operations import project_actions as actions
from rlhf_desktop.operations.conversations import hide_conversation
from rlhf_desktop.operations.instructions import save_instructions, saved_instructions
from rlhf_desktop.operations.projects import FIRST_PROJECT, open_project
from rlhf_desktop.operations.sampling import choose_thought_room, usual_sampling
from rlhf_desktop.operations.training import start_run

BLANK = project_preset("blank")


@pytest.fixture
def queue(workspace):
    return QuietQueue(workspace)


def judge(store, project, question="Where is it?", answers=("On its way", "No idea")):
    conversation, asked = store.conversations.start(project.id, user(question))
    ids = tuple(node.id for node in store.conversations.add_answers(asked.id, list(answers)))
    return conversation, store.judgements.add(Judgement(project.id, "me", ids, Ranking((1, 2))))


def queued(store, queue, project, title="Taught"):
    return start_run(store, queue, project, "reward", base=BASE, title=title)


def ended(run, state="done"):
    run.write_status(run.status().model_copy(update={"state": state}))
    return run


@pytest.mark.parametrize("preset", PROJECT_PRESETS, ids=lambda preset: preset.key)
def test_a_new_project_is_asked_what_its_preset_says(store, preset):
    made = actions.new_project(store, "Mine", preset, "Ann")
    assert store.protocols.get(made.id) == protocol_from(preset.protocol.model_dump(mode="json")) == preset.protocol
    current = store.guidelines.current(made.id)
    assert (current.text if current else "") == preset.guidelines.strip()
    assert open_project(store) == made
    assert preset.purpose.endswith(".")
    asked = " ".join(preset.asked)
    for name in [a.name for a in preset.protocol.attributes] + [q.name for q in preset.protocol.labels]:
        assert name in asked
    assert OFFLINE.startswith("Works offline")


def test_every_form_of_judgement_is_said_in_words():
    for protocol in PRESETS.values():
        lines = list(asked_in_words(protocol))
        assert lines
        assert all(line[0] == line[0].upper() and "{" not in line for line in lines), lines


def test_the_empty_project_the_program_made_is_taken_for_the_first_one_made_on_purpose(store):
    first = open_project(store)
    made = actions.new_project(store, "Nurses", BLANK, "Ann")
    assert (made.id, made.name) == (first.id, "Nurses")
    assert actions.new_project(store, "Doctors", BLANK, "Ann").id != first.id, "now it has a name of its own"


def test_a_first_project_with_anything_in_it_stays(store):
    first = open_project(store)
    judge(store, first)
    actions.new_project(store, "Nurses", BLANK, "Ann")
    assert [p.name for p in store.projects.all()] == [FIRST_PROJECT, "Nurses"]


def test_a_name_that_cannot_be_used_makes_no_project(store, project):
    with pytest.raises(BadInput, match="already"):
        actions.new_project(store, "support", project_preset("safety"), "Ann")
    assert store.projects.all() == [project]


def test_what_is_in_a_project_is_said_in_words(store, queue, project):
    assert actions.contents(store, queue, project).words == "nothing yet"
    judge(store, project)
    hidden, _ = judge(store, project, "And when?")
    hide_conversation(store, project, hidden.id)
    store.prompts.create_set(project.id, "set", [user("One"), user("Two")])
    queued(store, queue, project)
    assert actions.contents(store, queue, project).words == "2 judgements, 1 conversation, 2 prompts, 1 run"


def test_a_copy_of_the_settings_takes_no_judgement_along(store, queue, project):
    judge(store, project)
    store.protocols.set(project.id, PRESETS["Medicine"])
    store.guidelines.save(project.id, "Old", "Ann")
    store.guidelines.save(project.id, "Be kind", "Ann")
    store.settings.set("model", "big", project.id)
    store.settings.set("label_ready", ["an item"], project.id)
    choose_thought_room(store, project, 256)
    save_instructions(store, project, "Short", "Be brief")
    store.drafts.save(project.id, "Bo", "form:start ppo", {"kl_coef": 0.2, "reward": "hash", "name": "Round 2"})
    store.drafts.save(project.id, "Bo", "label:x", {"text": "half a judgement"})
    made = actions.duplicate_project(store, project, "Bo")
    assert made.name == "Support 2"
    assert store.protocols.get(made.id) == PRESETS["Medicine"]
    assert [(g.version, g.text, g.who) for g in store.guidelines.versions(made.id)] == [(1, "Be kind", "Bo")]
    assert store.settings.get("model", project_id=made.id) == "big"
    assert usual_sampling(store, made).max_thought_tokens == 256
    assert [one.text for one in saved_instructions(store, made)] == ["Be brief"]
    assert [(draft.key, draft.value) for draft in store.drafts.all(made.id, "Bo")] == [("form:start ppo", {"kl_coef": 0.2})]
    assert store.settings.get("label_ready", None, made.id) is None
    assert actions.contents(store, queue, made).words == "nothing yet"
    assert open_project(store) == made
    assert actions.duplicate_project(store, project, "Bo", "Named").name == "Named"


def test_an_archived_project_is_opened_neither_by_default_nor_by_name(store, queue, project):
    other = store.projects.create("Other")
    open_project(store, "Support")
    actions.archive_project(store, queue, project)
    assert open_project(store) == other
    with pytest.raises(BadInput, match="“Support” is archived"):
        open_project(store, "support")
    with pytest.raises(BadInput, match="archived"):
        actions.archive_project(store, queue, store.projects.get(project.id))
    assert actions.unarchive_project(store, project) == project
    assert open_project(store, "Support") == project


def test_where_every_project_is_put_away_there_is_a_fresh_one(store, queue):
    first = open_project(store)
    actions.archive_project(store, queue, first)
    second = open_project(store)
    assert second.name == f"{FIRST_PROJECT} 2"
    assert open_project(store) == second


def test_a_deleted_project_is_kept_and_comes_back_as_it_was(store, queue, project, workspace):
    _, judgement = judge(store, project)
    gone = actions.delete_project(store, queue, project)
    with pytest.raises(NotFound, match="“Support” was deleted"):
        open_project(store, "Support")
    assert open_project(store).name == FIRST_PROJECT
    assert store.judgements.all(project.id) == [judgement]
    assert actions.restore_project(store, workspace, gone) == project
    assert open_project(store, "support") == project


def test_the_last_deleted_of_a_name_is_found_first(store, queue, project):
    with pytest.raises(NotFound, match="No deleted project"):
        actions.find_deleted(store, "Support")
    store.projects.delete(project.id, at="2026-01-01T00:00:00.000+00:00")
    second = store.projects.create("Support")
    actions.delete_project(store, queue, second)
    assert actions.find_deleted(store, "support").id == second.id
    assert actions.find_deleted(store, project.id).id == project.id


@pytest.mark.parametrize("act", [actions.archive_project, actions.delete_project], ids=["archive", "delete"])
def test_a_project_whose_run_is_not_over_stays_and_says_what_to_do(store, queue, project, act):
    judge(store, project)
    run = queued(store, queue, project)
    with pytest.raises(BadInput, match="while its run “Taught” is not over") as trouble:
        act(store, queue, project)
    assert "Stop the run" in trouble.value.hint
    assert store.projects.all() == [project]
    queue.stop(run)
    assert not act(store, queue, project).in_use


def test_no_run_begins_or_goes_on_for_a_project_that_was_put_away(store, queue, project):
    judge(store, project)
    run = ended(queued(store, queue, project), "paused")
    actions.archive_project(store, queue, project)
    assert actions.listed_runs(store, queue) == []
    with pytest.raises(BadInput, match="“Support” is archived"):
        queued(store, queue, project)
    with pytest.raises(BadInput, match="“Support” is archived"):
        actions.check_run_in_use(store, run)
    actions.unarchive_project(store, project)
    actions.check_run_in_use(store, run)
    assert [found.id for found in actions.listed_runs(store, queue)] == [run.id]


def test_a_project_that_a_policy_keeps_offline_keeps_its_name(store, queue, project, workspace):
    policy = {"v": 1, "offline_projects": ["support", "Clinic"]}
    (workspace.root / "policy.json").write_text(json.dumps(policy))
    with pytest.raises(BadInput, match="policy keeps “Support” offline"):
        actions.rename_project(store, workspace, project, "Desk")
    assert actions.rename_project(store, workspace, project, "Clinic").name == "Clinic"
    gone = actions.delete_project(store, queue, project)
    store.projects.create("Clinic")
    with pytest.raises(BadInput, match="policy keeps “Clinic” offline"):
        actions.restore_project(store, workspace, store.projects.get(gone.id))


def test_a_deleted_project_is_due_after_thirty_days_and_not_before(store, project):
    gone = store.projects.delete(project.id)
    then = datetime.fromisoformat(gone.deleted_at)
    assert actions.erased_on(gone) == then + timedelta(days=30)
    assert actions.expired(store, then + timedelta(days=29, hours=23)) == []
    assert actions.expired(store, then + timedelta(days=30)) == [gone]
    assert actions.expired(store, datetime.now(UTC)) == []
