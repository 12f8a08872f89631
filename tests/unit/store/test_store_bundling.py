"""Merging is set union: any order, any number of times, and what was erased stays erased."""

import itertools
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlhf_desktop.core.errors import AppError, BadInput
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.feedback.bundles import SplitRow, TombstoneRow, open_bundle, write_bundle
from rlhf_desktop.feedback.conversations import Generator
from rlhf_desktop.feedback.judgements import (
    AllBad,
    Choice,
    Correction,
    Demonstrated,
    Flag,
    Judgement,
    Labels,
    Ranking,
    Rating,
    Ratings,
    Skip,
    Span,
    Spans,
    Thumbs,
    revision,
)
from rlhf_desktop.feedback.split import prompt_hash
from rlhf_desktop.store.bundling import bundle_rows, merge_rows, what_it_takes
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.erasing import bury, with_texts
from rlhf_desktop.store.profiles import Profile

GENERATOR = Generator("m", "h", None, None, Sampling())


class Station:
    """A workstation: a store, its project, and things an expert does there."""

    def __init__(self, path: Path, name: str) -> None:
        self.store = Store.open(path / f"{name}.db")
        self.store.connection.raw.execute("PRAGMA synchronous=OFF")  # merges are tested here, not power cuts
        self.name, self.path = name, path
        self.project = self.store.projects.create("Support")
        self.exports = itertools.count()

    def ask(self, text: str) -> None:
        _, question = self.store.conversations.start(self.project.id, [{"role": "user", "content": text}])
        thought_about = NewCompletion("a", thought="Hm.", thought_tokens=2)
        nodes = self.store.conversations.add_completions(question.id, [thought_about, NewCompletion("b")], GENERATOR)
        self.judge(tuple(node.id for node in nodes))

    def judge(self, displayed: tuple[str, ...]) -> None:
        self.store.judgements.add(Judgement(self.project.id, self.name, displayed, Ranking((1, 2))))

    def events(self) -> list[Judgement]:
        return [j for j in self.store.judgements.all(self.project.id) if j.kind != "withdrawn"]

    def act(self, what: str, number: int) -> None:
        events = [event for event in self.events() if len(event.displayed) == 2]
        if what == "ask" or not events:
            return self.ask(f"Question {number} of {self.name}")
        event = events[number % len(events)]
        if what == "judge":
            self.judge(event.displayed[::-1])
        elif what == "revise":
            self.store.judgements.add(revision(event, self.name, [AllBad(), Correction("better", 0)]))
        elif what == "undo":
            self.store.judgements.undo(self.project.id, self.name)
        elif what == "reply":
            node = self.store.conversations.message(event.displayed[0])
            self.store.conversations.add_message(node.conversation_id, node.id, "user", f"And {number}?")
        elif what == "say":
            first, second = event.displayed[:1], event.displayed
            self.store.judgements.add(
                Judgement(
                    self.project.id,
                    self.name,
                    *((first, Demonstrated()) if number % 7 == 0 else (second, SAID[number % len(SAID)])),
                )
            )
        elif what == "judge twice":
            also = (Ratings((Rating("accuracy", 5, (1, None)),)), Spans((Span(0, 0, 1, "tone"),)))
            more = {"also": also, "purpose": ("repeat", "adjudication")[number % 2], "confidence": 0.5, "critique": f"As {number}"}
            self.store.judgements.add(Judgement(self.project.id, self.name, event.displayed, Ranking((1, 1)), **more))
        elif what == "tag":
            self.store.tags.add([event.id], f"tag {number % 3}")
        elif what == "untag":
            self.store.tags.remove([event.id], f"tag {number % 3}")
        elif what == "erase":
            going = with_texts(self.store.connection, [event.id])
            bury(self.store, [*going.judgements, *going.messages])
        elif what == "guide":
            self.store.guidelines.save(self.project.id, f"Text {number}", self.name)
        elif what == "profile":
            self.store.profiles.save(Profile(self.name, f"role {number}"))
        elif what == "hold":
            self.store.connection.execute(
                "INSERT OR IGNORE INTO split_exceptions VALUES (?, ?, ?)",
                (self.project.id, prompt_hash([{"role": "user", "content": str(number % 4)}]), ("train", "heldout")[number % 2]),
            )
        elif what == "prompts":
            self.store.conversations.rename(self.store.conversations.message(event.displayed[0]).conversation_id, f"T{number}")
            if not self.store.prompts.by_name(self.project.id, f"Set {number % 3}"):
                self.store.prompts.create_set(self.project.id, f"Set {number % 3}", [[{"role": "user", "content": f"P{number}"}]])
        return None

    def bundle(self) -> Path:
        path = self.path / f"{self.name}-{next(self.exports)}.zip"
        with self.store.connection.snapshot():
            write_bundle(path, "Support", 0.15, bundle_rows(self.store, self.project.id))
        return path

    def merge(self, path: Path):
        return merge_rows(self.store, self.project.id, open_bundle(path))

    def contents(self) -> dict[str, list[dict]]:
        return {
            name: [row.model_dump(mode="json") for row in rows] for name, rows in bundle_rows(self.store, self.project.id).items()
        }


SAID = (Skip("tired"), Flag("odd"), Thumbs(True), AllBad(), Labels((Choice("tone", (("warm",), ())),)), Ranking((2, 1), 3))
ACTS = (
    "ask",
    "judge",
    "say",
    "judge twice",
    "revise",
    "undo",
    "reply",
    "tag",
    "untag",
    "erase",
    "guide",
    "profile",
    "hold",
    "prompts",
)
acts = st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 20)), max_size=8)


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(shared=acts, own=st.tuples(acts, acts, acts))
def test_three_bundles_in_every_order_and_each_twice_give_the_same_store(shared, own):
    with TemporaryDirectory() as folder:
        stations = [Station(Path(folder), name) for name in "ABC"]
        for what, number in [("ask", 0), *shared]:
            stations[0].act(what, number)
        start = stations[0].bundle()
        for station, todo in zip(stations, own, strict=True):
            station.merge(start)  # what all three have in common
            for what, number in todo:
                station.act(what, number)
        bundles = [station.bundle() for station in stations]
        outcomes = []
        for number, order in enumerate(itertools.permutations(bundles)):
            here = Station(Path(folder), f"merged{number}")
            for path in (*order, *order):
                here.merge(path)
            outcomes.append(here.contents())
            stations.append(here)
        for station in stations:
            assert station.store.connection.rows("PRAGMA foreign_key_check") == []
            station.store.close()
        assert all(outcome == outcomes[0] for outcome in outcomes)


@pytest.fixture
def pair(tmp_path):
    stations = [Station(tmp_path, name) for name in ("here", "there")]
    yield stations
    for station in stations:
        station.store.close()


def test_a_merge_brings_what_is_needed_and_says_what_it_did(pair):
    here, there = pair
    there.ask("One")
    there.store.conversations.start(there.project.id, [{"role": "user", "content": "private chat"}])
    there.store.judgements.add(Judgement(there.project.id, "Ada", there.events()[0].displayed, Skip("tired")))
    there.store.profiles.save(Profile("Ada", "nurse"))
    done = here.merge(there.bundle())
    assert (done.added["judgements"], done.already, done.erased, done.conflicts) == (2, 0, 0, ())
    assert here.contents() == there.contents()
    assert "private chat" not in str(here.contents())
    assert here.store.profiles.get("Ada").role == "nurse"
    again = here.merge(there.bundle())
    assert (again.added["judgements"], again.already) == (0, 2)
    (ranking,) = here.store.snapshot_rows(here.project.id, "reward")
    assert [answer.text for answer in ranking.completions] == ["a", "b"]
    assert (
        len(
            here.store.history.page(
                here.project.id, __import__("rlhf_desktop.store.history", fromlist=["x"]).HistoryQuery(text="one")
            )[0]
        )
        == 2
    )


def test_what_a_colleague_erased_goes_here_too_with_what_depends_on_it(pair):
    here, there = pair
    there.ask("Secret")
    here.merge(there.bundle())
    here.store.judgements.add(revision(here.events()[0], "here", [Ranking((2, 1))]))
    node = here.store.conversations.message(here.events()[0].displayed[0])
    here.store.conversations.add_message(node.conversation_id, node.id, "user", "More of the secret")
    going = with_texts(there.store.connection, [there.events()[0].id])
    bury(there.store, [*going.judgements, *going.messages])
    done = here.merge(there.bundle())
    assert done.erased == 2
    assert here.events() == []
    assert here.store.connection.rows("SELECT * FROM messages") == []
    assert here.store.connection.rows("SELECT * FROM conversations") == []


def test_an_old_bundle_does_not_bring_back_what_was_erased(pair):
    here, there = pair
    there.ask("Secret")
    old = there.bundle()
    here.merge(old)
    bury(here.store, [here.events()[0].id])
    here.merge(old)
    assert here.events() == []
    assert here.contents()["conversations.jsonl"] == []
    here.merge(there.bundle())
    erased = with_texts(there.store.connection, [there.events()[0].id])
    bury(here.store, [*erased.judgements, *erased.messages])
    here.merge(old)
    assert here.store.connection.rows("SELECT title FROM conversations") == [], "a title is somebody's words too"


def test_both_sides_revising_one_judgement_is_shown(pair):
    here, there = pair
    there.ask("One")
    here.merge(there.bundle())
    for station in pair:
        station.store.judgements.add(revision(station.events()[0], station.name, [AllBad()]))
        station.store.guidelines.save(station.project.id, station.name, station.name)
    conflicts = here.merge(there.bundle()).conflicts
    assert [conflict.split()[0:3] for conflict in conflicts] == [["1", "judgement", "was"], ["There", "are", "2"]]
    assert len(here.store.judgements.effective(here.project.id)) == 2


def forged(there: Station, path: Path, name: str, change) -> Path:
    rows = {key: list(values) for key, values in bundle_rows(there.store, there.project.id).items()}
    rows[name] = change(rows[name])
    write_bundle(path, "Support", 0.15, rows)
    return path


def replaced(**fields):
    return lambda rows: [row.model_copy(update=fields) for row in rows]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("messages.jsonl", lambda rows: [r.model_copy(update={"parent_id": rows[-1].id}) for r in rows], "circle"),
        ("messages.jsonl", lambda rows: rows[1:], "no conversation|not saved|same message|does not fit"),
        ("conversations.jsonl", lambda rows: [], "no conversation"),
        ("judgements.jsonl", replaced(verdict={"kind": "ranking", "ranks": [1]}), "does not fit"),
        ("judgements.jsonl", replaced(verdict={"kind": "hologram"}), "does not fit"),
        ("judgements.jsonl", replaced(verdict={"kind": "thumbs", "up": "x" * 9}), "does not fit"),
        ("judgements.jsonl", replaced(displayed=["01900000-0000-7000-8000-000000000000"] * 2), "does not fit"),
        ("judgements.jsonl", replaced(supersedes="01900000-0000-7000-8000-000000000000"), "does not fit"),
        ("judgements.jsonl", replaced(verdict={"kind": "ranking", "ranks": [1, 2], "strength": 10**30}), "does not fit"),
        ("judgements.jsonl", replaced(verdict={"kind": "ranking", "ranks": [1, float("nan")]}), "does not fit"),
        ("judgements.jsonl", replaced(also=[{"kind": "thumbs", "up": True, "index": float("inf")}]), "does not fit"),
        ("judgements.jsonl", replaced(created_at="2026-99-99T00:00:00Z"), "does not fit"),
        ("generators.jsonl", replaced(model_name="another"), "description was changed"),
        ("generators.jsonl", lambda rows: [], "does not fit|database"),
    ],
)
def test_bundles_that_contradict_themselves_are_refused_whole(pair, tmp_path, name, change, said):
    here, there = pair
    there.ask("One")
    before = here.contents()
    with pytest.raises(Exception, match=said) as caught:
        here.merge(forged(there, tmp_path / "forged.zip", name, change))
    assert type(caught.value).__module__ == "rlhf_desktop.core.errors"
    assert here.contents() == before
    assert here.store.connection.rows("SELECT * FROM messages") == []


def test_another_text_under_a_known_id_is_refused(pair, tmp_path):
    here, there = pair
    there.ask("One")
    here.merge(there.bundle())
    for name, change, said in (
        ("messages.jsonl", replaced(content="forged"), "another text"),
        ("judgements.jsonl", replaced(who="forged"), "something else"),
    ):
        with pytest.raises(BadInput, match=said):
            here.merge(forged(there, tmp_path / "forged.zip", name, change))
    assert here.contents() == there.contents()


def test_feedback_of_another_project_of_the_workspace_is_refused(pair):
    here, there = pair
    there.ask("One")
    here.merge(there.bundle())
    second = here.store.projects.create("Second")
    with pytest.raises(BadInput, match="another project"):
        merge_rows(here.store, second.id, open_bundle(there.bundle()))


def everything_of(station, project_id):
    tables = {"judgements": "project_id", "conversations": "project_id", "guidelines": "project_id", "prompt_sets": "project_id"}
    rows = {
        name: station.store.connection.rows(f"SELECT * FROM {name} WHERE {key} = ?", (project_id,)) for name, key in tables.items()
    }
    mine = "SELECT id FROM conversations WHERE project_id = ?"
    rows["messages"] = station.store.connection.rows(f"SELECT * FROM messages WHERE conversation_id IN ({mine})", (project_id,))
    for name, key in (("prompts", "id"), ("judgement_tags", "judgement_id"), ("profiles", "name")):
        rows[name] = station.store.connection.rows(f"SELECT * FROM {name} ORDER BY {key}")
    return rows


def hostile(there: Station, path: Path, name: str, rows: list) -> Path:
    """A bundle of one harmless judgement, and rows that speak of another project's."""
    found = {key: list(values) for key, values in bundle_rows(there.store, there.project.id).items()}
    found[name] = [*found[name], *rows]
    write_bundle(path, "Support", 0.15, found)
    return path


def test_a_bundle_changes_nothing_in_another_project(pair, tmp_path):
    here, there = pair
    victim = Station(tmp_path, "victim")
    for number in range(5):
        victim.ask(f"Question {number}")
    victim.store.tags.add([victim.events()[0].id], "good")
    victim.store.profiles.save(Profile("victim", "nurse"))
    victim.store.prompts.create_set(victim.project.id, "Set", [[{"role": "user", "content": "P"}]])
    here.merge(victim.bundle())
    theirs = bundle_rows(victim.store, victim.project.id)
    rows = {name: list(values) for name, values in theirs.items()}
    second = here.store.projects.create("Second")
    there.ask("Harmless")
    ids = [row.id for name in ("judgements", "messages", "conversations", "prompts") for row in rows[f"{name}.jsonl"]]
    nobody = "01900000-0000-7000-8000-00000000000f"
    late = "2099-01-01T00:00:00Z"

    def changed(name: str, **fields) -> tuple[str, list]:
        return name, [row.model_copy(update=fields) for row in rows[name]]

    tries = {
        "tombstones": ("tombstones.jsonl", [TombstoneRow(id=one) for one in ids]),
        "tags": changed("tags.jsonl", present=False, changed_at=late),
        "profiles": changed("profiles.jsonl", role="x", updated_at=late),
        "titles": changed("conversations.jsonl", title="x", updated_at=late),
        "prompts": ("prompts.jsonl", rows["prompts.jsonl"]),
        "judgements": ("judgements.jsonl", rows["judgements.jsonl"]),
        "replies": changed("messages.jsonl", parent_id=nobody),
    }
    before = everything_of(here, here.project.id)
    assert len(before["judgements"]) == 5
    for name, (file, forged_rows) in tries.items():
        path = hostile(there, tmp_path / f"{name}.zip", file, forged_rows)
        assert what_it_takes(here.store, second.id, open_bundle(path)).nothing, name
        try:
            merge_rows(here.store, second.id, open_bundle(path))
        except AppError:
            assert name not in ("tombstones", "tags", "profiles"), "what can be passed over is no reason to refuse the rest"
        after = everything_of(here, here.project.id)
        assert {k: v for k, v in after.items() if k != "prompts"} == {k: v for k, v in before.items() if k != "prompts"}, name
        assert set(map(str, before["prompts"])) <= set(map(str, after["prompts"])), name
    victim.store.close()


@pytest.mark.parametrize("name", ["judgements.jsonl", "messages.jsonl"])
def test_what_is_here_is_not_erased_through_rows_that_say_they_depend_on_something_erased(pair, tmp_path, name):
    here, there = pair
    there.ask("One")
    here.merge(there.bundle())
    gone = "01900000-0000-7000-8000-00000000000f"
    rows = {key: list(values) for key, values in bundle_rows(there.store, there.project.id).items()}
    rows["tombstones.jsonl"] = [TombstoneRow(id=gone)]
    forged_as = {"displayed": [gone]} if name == "judgements.jsonl" else {"parent_id": gone}
    rows[name] = [row.model_copy(update=forged_as) for row in rows[name]]
    write_bundle(tmp_path / "b.zip", "Support", 0.15, rows)
    assert what_it_takes(here.store, here.project.id, open_bundle(tmp_path / "b.zip")).nothing
    with pytest.raises(BadInput, match="what it says was erased is not what it holds"):
        here.merge(tmp_path / "b.zip")
    assert len(here.events()) == 1


def test_an_erased_prompt_does_not_come_back_with_an_old_bundle(pair):
    here, there = pair
    there.ask("One")
    there.store.prompts.create_set(there.project.id, "Set", [[{"role": "user", "content": "Secret"}]])
    old = there.bundle()
    here.merge(old)
    bury(here.store, [prompt.id for prompt in here.store.prompts.prompts(here.project.id)])
    here.merge(old)
    assert here.store.prompts.prompts(here.project.id) == []


def test_a_split_that_leaves_nothing_to_train_on_is_not_taken_and_that_is_said(pair, tmp_path):
    here, there = pair
    for number in range(5):
        here.ask(f"Question {number}")
    there.ask("Theirs")
    rows = {key: list(values) for key, values in bundle_rows(there.store, there.project.id).items()}
    write_bundle(tmp_path / "all.zip", "Support", 1.0, rows)
    assert "hold out 100% of all prompts" in here.merge(tmp_path / "all.zip").conflicts[0]
    hashes = [row["prompt_hash"] for row in here.store.connection.rows("SELECT prompt_hash FROM judged_questions")]
    rows["split.jsonl"] = [SplitRow(prompt_hash=hashed, split="heldout") for hashed in hashes]
    write_bundle(tmp_path / "each.zip", "Support", 0.2, rows)
    assert "leave nothing to train on" in here.merge(tmp_path / "each.zip").conflicts[0]
    assert here.store.projects.get(here.project.id).heldout_share == 0.15
    assert here.store.connection.rows("SELECT * FROM split_exceptions") == []
    rows["split.jsonl"] = rows["split.jsonl"][:2]
    write_bundle(tmp_path / "some.zip", "Support", 0.2, rows)
    assert here.merge(tmp_path / "some.zip").conflicts == ()
    assert here.store.projects.get(here.project.id).heldout_share == 0.2
    assert len(here.store.connection.rows("SELECT * FROM split_exceptions")) == 2


def test_without_its_erasures_all_else_of_a_bundle_comes(pair):
    here, there = pair
    there.ask("One")
    here.merge(there.bundle())
    going = with_texts(there.store.connection, [there.events()[0].id])
    bury(there.store, [*going.judgements, *going.messages])
    there.ask("Two")
    taken = what_it_takes(here.store, here.project.id, open_bundle(there.bundle()))
    assert (len(taken.going.judgements), len(taken.going.messages)) == (1, 3)
    done = merge_rows(here.store, here.project.id, open_bundle(there.bundle()), erasures=False)
    assert (done.added["judgements"], done.erased, len(here.events())) == (1, 0, 2)
    assert (here.merge(there.bundle()).erased, len(here.events())) == (1, 1)


def test_what_a_merge_takes_in_can_be_exported_again(pair, tmp_path):
    there = pair[1]
    there.ask("One")
    most = {"seconds_spent": 10.0**9, "guideline_version": 2**31 - 1, "critique": "x" * 10**6}
    for number, change in enumerate(
        (
            ("judgements.jsonl", replaced(**most)),
            ("messages.jsonl", lambda rows: [r.model_copy(update={"seed": -(2**63), "tokens": 2**31 - 1}) for r in rows]),
            ("conversations.jsonl", replaced(title="t" * 500, updated_at="2099-12-31T23:59:59Z")),
        )
    ):
        fresh = Station(tmp_path, f"fresh{number}")
        fresh.merge(forged(there, tmp_path / "forged.zip", *change))
        again = Station(tmp_path, f"again{number}")
        again.merge(fresh.bundle())
        assert again.contents() == fresh.contents()
        fresh.store.close()
        again.store.close()


def test_guidelines_that_leave_out_versions_are_refused(pair, tmp_path):
    """The next version of one's own would be a number that no bundle may hold."""
    here, there = pair
    there.ask("One")
    there.act("guide", 1), there.act("guide", 2)
    path = forged(there, tmp_path / "b.zip", "guidelines.jsonl", replaced(version=2**31 - 1))
    with pytest.raises(BadInput, match="its guidelines leave out versions"):
        here.merge(path)
    here.store.guidelines.save(here.project.id, "Of one's own", "here")
    here.merge(there.bundle())
    assert sorted(g.version for g in here.store.guidelines.versions(here.project.id)) == [1, 1, 2]


def test_profiles_of_other_projects_and_ones_own_are_not_a_bundles_to_change(pair, tmp_path):
    here, there = pair
    other = here.store.projects.create("Other")
    here.store.settings.set("who", "Me")
    for name in ("Olga", "Me", "Ada"):
        here.store.profiles.save(Profile(name, "nurse", updated_at="2026-01-01T00:00:00+00:00"))
    _, question = here.store.conversations.start(other.id, [{"role": "user", "content": "Theirs"}])
    answers = here.store.conversations.add_answers(question.id, ["a", "b"])
    here.store.judgements.add(Judgement(other.id, "Olga", tuple(a.id for a in answers), Ranking((1, 2))))
    for name in ("Olga", "Me", "Ada", "Bo"):
        there.name = name
        there.ask(f"A question of {name}")
        there.act("profile", 7)
    here.merge(there.bundle())
    assert {p.name: p.role for p in here.store.profiles.all()} == {"Olga": "nurse", "Me": "nurse", "Ada": "role 7", "Bo": "role 7"}
