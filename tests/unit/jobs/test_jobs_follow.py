import json

from rlhf_desktop.jobs.follow import EventReader, tail_events


def line(seq: int, **event: object) -> bytes:
    row = {"v": 1, "seq": seq, "time": 0.0, "type": "log", "message": "ü😀", **event}
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def test_events_come_whole_however_the_bytes_arrive(tmp_path) -> None:
    file, seen = tmp_path / "events.jsonl", []
    reader = EventReader(file)
    assert reader.read_new() == []
    for byte in line(0) + line(1):
        with file.open("ab") as f:
            f.write(bytes([byte]))
        seen += [event.seq for event in reader.read_new()]
    assert seen == [0, 1]
    assert reader.offset == file.stat().st_size
    assert reader.notes == []


def test_a_torn_last_line_waits_for_its_rest(tmp_path) -> None:
    file = tmp_path / "events.jsonl"
    whole, torn = line(0), line(1)
    file.write_bytes(whole + torn[:20])
    reader = EventReader(file)
    assert [e.seq for e in reader.read_new()] == [0]
    file.write_bytes(whole + torn)
    assert [e.seq for e in reader.read_new()] == [1]


def test_unknown_and_damaged_lines_are_skipped_with_a_note(tmp_path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(line(0) + line(1, type="from the future") + b"\xff{{{\n\n" + line(2))
    reader = EventReader(file)
    assert [e.seq for e in reader.read_new()] == [0, 2]
    assert len(reader.notes) == 2
    assert "from the future" in reader.notes[0]


def test_a_new_reader_replays_from_the_start(tmp_path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(line(0) + line(1))
    assert len(EventReader(file).read_new()) == len(EventReader(file).read_new()) == 2


def test_a_file_that_has_become_shorter_is_read_again(tmp_path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(line(0) + line(1))
    reader = EventReader(file)
    reader.read_new()
    file.write_bytes(line(5))
    assert [e.seq for e in reader.read_new()] == [5]
    assert len(reader.notes) == 1


def test_the_tail_of_a_long_file_is_its_last_events(tmp_path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"".join(line(i) for i in range(5000)))
    tail = [e.seq for e in tail_events(file)]
    assert tail == list(range(tail[0], 5000))
    assert tail[0] > 0
    assert tail_events(tmp_path / "missing") == []


def test_a_long_file_is_read_in_slices_of_whole_lines(tmp_path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"".join(line(i) for i in range(100)) + line(100)[:10])
    reader = EventReader(file)
    slices = [reader.read_new(300)]
    while reader.behind:
        slices.append(reader.read_new(300))
    assert len(slices) > 5
    assert [e.seq for events in slices for e in events] == list(range(100))
    assert not reader.behind
