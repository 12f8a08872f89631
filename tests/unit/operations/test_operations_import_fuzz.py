"""Whatever a file holds, an import ends with a report or a sentence, all or nothing, and touches no other file.

`tests/bench/bench_fuzz.py` does the same a hundred thousand times.
"""

import random
import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.feedback.formats import FORMATS, Reading, read_feedback
from rlhf_desktop.feedback.rows import Problem, Unusable
from rlhf_desktop.operations.feedback import import_feedback, preview_import
from tests.fuzzing import real_shaped_file, wrong_file, wrong_record

SEEDS = st.integers(0, 2**32)


@settings(max_examples=300)
@given(seed=SEEDS)
def test_a_wrong_record_gives_rows_or_says_what_is_wrong(seed):
    chance = random.Random(seed)
    record = wrong_record(chance)
    for reading in (
        Reading(),
        Reading(chance.choice(list(FORMATS.values()))),
        Reading(FORMATS["preference"], {"prompt": "messages"}),
    ):
        try:
            rows = reading.rows(record)
        except Unusable:
            continue
        assert all(row.verdicts and row.prompt for row in rows)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=SEEDS)
def test_a_file_of_a_known_format_with_a_spoilt_record_is_previewed_as_it_is_read(tmp_path, seed):
    chance = random.Random(seed)
    name, data = real_shaped_file(chance)
    path = tmp_path / name
    path.write_bytes(data)
    try:
        seen = preview_import(path)
        rows = list(read_feedback(path))
    except AppError:
        return
    assert (seen.usable, seen.unusable) == tuple(sum(isinstance(row, Problem) == bad for row in rows) for bad in (False, True))
    assert not (seen.sure and seen.questions)
    for question in seen.questions:
        for answer in ("", "nonsense", "1-5", *dict(question.choices)):
            list(read_feedback(path, Reading(answers={question.key: answer})))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=SEEDS)
def test_a_wrong_file_is_imported_in_part_or_refused_whole(store, project, tmp_path, seed):
    chance = random.Random(seed)
    name, data = wrong_file(chance)
    folder = tmp_path / str(seed)
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(data)
    before = {file for file in tmp_path.rglob("*") if file.is_file() and file.suffix != ".db-wal" and "workspace" not in file.parts}
    held = store.judgements.last_row()
    begun = time.process_time()
    try:
        preview_import(path)
        report = import_feedback(store, project, path)
    except AppError:
        assert store.judgements.last_row() == held, "a refused file left something"
        report = None
    assert time.process_time() - begun < 2
    after = {file for file in tmp_path.rglob("*") if file.is_file() and file.suffix != ".db-wal" and "workspace" not in file.parts}
    aside = {report.rejected_file} if report and report.rejected_file else set()
    assert after - before <= aside
    if report:
        assert store.judgements.last_row() == held + report.imported
    assert path.read_bytes() == data
