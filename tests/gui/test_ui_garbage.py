import gc

from rlhf_desktop.ui.garbage import GuiThreadCollector


def test_cycles_are_freed_by_looking_and_not_before(collector):
    gc.collect()
    kept = []
    for _ in range(5000):
        cycle = []
        cycle.append(cycle)
        kept.append(cycle)
    kept.clear()
    assert not gc.isenabled()
    assert collector.look() >= 4000


def test_release_gives_collecting_back(qapp):
    GuiThreadCollector().release()
    assert gc.isenabled()
    gc.disable()  # the session's collector is on duty


def test_what_is_spared_is_looked_at_no_more_until_collecting_is_given_back(collector):
    mine = GuiThreadCollector()
    mine.spare()
    assert gc.get_freeze_count() > 10_000
    assert len(gc.get_objects(generation=2)) < 1000
    mine.release()
    assert gc.get_freeze_count() == 0
    gc.disable()  # the session's collector is on duty
