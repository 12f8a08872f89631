import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rlhf_desktop.core.errors import ModelTrouble, WorkerTrouble
from rlhf_desktop.core.protocol import Completion, Token
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.jobs.chat_client import ChatWorker

STUB = [sys.executable, str(Path(__file__).with_name("stub_chat.py"))]
BASE = ModelRef(name="tiny", path="/nowhere", hash="b")
ADAPTER = AdapterRef(name="Polite", path="/nowhere", hash="a", base_hash="b")


def ask(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.fixture
def worker() -> Iterator[ChatWorker]:
    with ChatWorker(STUB) as worker:
        yield worker


def test_answers_come_back_in_the_order_asked(worker: ChatWorker) -> None:
    assert worker.load(BASE).device == "cpu"
    answers = worker.generate([ask("a"), ask("b")], k=2, adapter=ADAPTER)
    assert [[answer.text for answer in row] for row in answers] == [
        ["a 0 ü😀 Polite", "a 1 ü😀 Polite"],
        ["b 0 ü😀 Polite", "b 1 ü😀 Polite"],
    ]


def test_a_callback_sees_tokens_as_they_come_and_only_then_are_they_sent(worker: ChatWorker) -> None:
    seen = []
    worker.generate([ask("a")], on_reply=seen.append)
    assert [type(reply) for reply in seen][:2] == [Token, Completion]


def test_scores(worker: ChatWorker) -> None:
    assert worker.score(ADAPTER, [ask("a")], [["x", "yyy"]]).scores == [[1.0, 3.0]]


def test_a_trouble_is_raised_and_the_worker_lives_on(worker: ChatWorker) -> None:
    with pytest.raises(ModelTrouble, match=r"damaged\. Add it again"):
        worker.load(BASE.model_copy(update={"name": "broken"}))
    assert worker.load(BASE).dtype == "float32"


def test_an_answer_of_the_wrong_kind_is_a_trouble_not_a_hang(worker: ChatWorker) -> None:
    with pytest.raises(WorkerTrouble, match="did not answer"):
        worker.likelihood(None, [ask("a")], [["x"]])


def test_death_says_how_and_what_it_last_wrote(worker: ChatWorker) -> None:
    with pytest.raises(WorkerTrouble, match="SIGKILL") as caught:
        worker.generate([ask("die")])
    assert "Out of memory" in caught.value.detail
    with pytest.raises(WorkerTrouble):
        worker.load(BASE)


def which(worker: ChatWorker) -> tuple[str, str]:
    """The process that answers, and the model it has loaded."""
    text = worker.generate([ask("which")])[0][0].text.split()
    return text[0], text[1]


def test_a_process_that_can_only_be_replaced_is_replaced_with_its_model_at_the_next_question(worker: ChatWorker) -> None:
    worker.load(BASE)
    before = which(worker)
    with pytest.raises(ModelTrouble, match="stopped working"):
        worker.generate([ask("broken")])
    worker._threads[0].join(60)
    after = which(worker)
    assert after[0] != before[0]
    assert after[1] == before[1] == "tiny"


def test_it_is_not_replaced_twice_within_a_minute() -> None:
    now = [500.0]

    def breaks(worker: ChatWorker) -> None:
        with pytest.raises(ModelTrouble, match="stopped working"):
            worker.generate([ask("broken")])
        worker._threads[0].join(60)

    with ChatWorker(STUB, clock=lambda: now[0]) as worker:
        breaks(worker)
        breaks(worker)
        with pytest.raises(WorkerTrouble, match="has to be started anew"):
            which(worker)
        now[0] += 61.0
        assert which(worker)[1] == "nothing"


def test_requests_from_several_threads_get_their_own_replies(worker: ChatWorker) -> None:
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda i: worker.generate([ask(str(i))], k=3)[0], range(20)))
    assert [row[2].text for row in rows] == [f"{i} 2 ü😀 None" for i in range(20)]


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(WorkerTrouble, match="could not be started"):
        ChatWorker(["/does/not/exist"])


def test_noise_on_stdout_is_kept_for_the_report() -> None:
    with ChatWorker([sys.executable, "-c", "print('Traceback: no torch'); raise SystemExit(3)"]) as worker:
        with pytest.raises(WorkerTrouble, match="exit code 3") as caught:
            worker.load(BASE)
        assert "no torch" in caught.value.detail
