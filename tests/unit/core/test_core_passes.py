"""How much of a run goes into knowing what is usual before it begins. (How micro-batches are cut is tested with the trainers.)"""

from rlhf_desktop.core.passes import CALIBRATION_PROMPTS, calibration_answers


def test_calibrating_takes_a_share_of_the_run_and_enough_prompts():
    assert calibration_answers(prompts=96, batch_prompts=24, episodes=768) == 48
    assert calibration_answers(prompts=40, batch_prompts=4, episodes=10_000) == 40
    assert calibration_answers(prompts=500, batch_prompts=4, episodes=10_000) == CALIBRATION_PROMPTS


def test_a_first_batch_of_as_many_prompts_is_enough():
    assert calibration_answers(prompts=96, batch_prompts=48, episodes=768) == 0
    assert calibration_answers(prompts=500, batch_prompts=16, episodes=32) == 0
