from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.ui.models.lineage import AdapterEntry, lineage


def entry(name, start, created, base="b"):
    ref = AdapterRef(name=name, path=f"/{name}", hash=name, base_hash=base)
    return AdapterEntry(ref, f"run-{name}", "sft", start, created, 1)


def test_children_follow_their_parent_and_siblings_their_age():
    entries = [
        entry("ppo2", "ppo1", 4),
        entry("dpo", "sft", 5),
        entry("ppo1", "sft", 3),
        entry("sft", None, 1),
        entry("x", None, 0, "other"),
    ]
    assert [(r.entry.ref.name, r.depth) for r in lineage(entries, "b")] == [("sft", 0), ("ppo1", 1), ("ppo2", 2), ("dpo", 1)]


def test_an_orphan_stays_visible():
    assert [(r.entry.ref.name, r.depth) for r in lineage([entry("a", "gone", 1)], "b")] == [("a", 0)]
