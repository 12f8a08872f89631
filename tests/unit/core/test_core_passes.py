"""What a device changes, and how much of a run goes into knowing what is usual. (Cutting is tested with the trainers.)"""

from rlhf_desktop.core.passes import (
    CALIBRATION_PROMPTS,
    calibration_answers,
    head_bytes,
    head_chunk_tokens,
    plateau_tokens,
    usable_bytes,
)


def test_calibrating_takes_a_share_of_the_run_and_enough_prompts():
    assert calibration_answers(prompts=96, batch_prompts=24, episodes=768) == 48
    assert calibration_answers(prompts=40, batch_prompts=4, episodes=10_000) == 40
    assert calibration_answers(prompts=500, batch_prompts=4, episodes=10_000) == CALIBRATION_PROMPTS


def test_a_first_batch_of_as_many_prompts_is_enough():
    assert calibration_answers(prompts=96, batch_prompts=48, episodes=768) == 0
    assert calibration_answers(prompts=500, batch_prompts=16, episodes=32) == 0


def test_every_card_is_a_card():
    assert plateau_tokens("cpu") == 1024
    assert {plateau_tokens(kind) for kind in ("cuda", "xpu", "mps")} == {16384}


def test_a_card_takes_longer_chunks_through_the_vocabulary_within_half_a_gibibyte():
    assert head_chunk_tokens("cpu", 32000) == head_chunk_tokens("cpu", 262208) == 128
    for vocabulary in (300, 32000, 151936, 262208):
        assert 128 < head_chunk_tokens("mps", vocabulary) <= 4096
        assert head_bytes("mps", vocabulary) <= 512 * 1024**2
    assert head_chunk_tokens("cuda", 10**6) == 128
    assert usable_bytes(10**10, 32000, "cuda") == 6 * 10**9 - head_bytes("cuda", 32000)
