from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.ui.models.lineage import AdapterEntry, fits, lineage, memory_to_train_bytes


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


def test_fits_needs_room_for_the_rest():
    need = memory_to_train_bytes(1.5e9)
    assert fits(need, need * 2)[0] == "fits"
    assert fits(need, need * 1.1)[0] == "tight"
    assert fits(need, need * 0.9)[0] == "won’t fit"
    assert fits(need, None)[1] == "muted"
