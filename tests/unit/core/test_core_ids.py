import threading
import time
import uuid

from rlhf_desktop.core import ids


def test_ids_ascend_in_the_order_they_were_asked_for():
    asked = [ids.new_id() for _ in range(20_000)]  # many to a millisecond
    assert asked == sorted(set(asked))


def test_they_ascend_when_the_clock_is_set_back(monkeypatch):
    before = ids.new_id()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert before < ids.new_id() < ids.new_id()


def test_threads_never_get_the_same_one():
    asked: list[str] = []
    threads = [threading.Thread(target=lambda: asked.extend([ids.new_id() for _ in range(2_000)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(asked)) == 8_000


def test_an_id_is_a_uuid_of_version_7_and_says_when_it_was_made():
    made = uuid.UUID(ids.new_id())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    seconds = (made.int >> 80) / 1000
    assert abs(seconds - time.time()) < 60
