from rlhf_desktop.ui.evaluate.blind import BlindTrial, Pair, verdict_sentence

PAIRS = [Pair(f"p{i}", f"old{i}", f"new{i}") for i in range(20)]


def run(trial, choose):
    while not trial.over:
        trial.judge(choose(*trial.sides()), 1.0)
    return trial.scores()


def test_always_choosing_the_new_model_scores_one_whatever_its_side():
    assert run(BlindTrial(PAIRS, 3), lambda left, right: "left" if left.startswith("new") else "right") == [1.0] * 20


def test_always_choosing_left_is_worth_exactly_half():
    assert sum(run(BlindTrial(PAIRS, 5), lambda left, right: "left")) == 10


def test_ties_count_half_and_undo_goes_back():
    trial = BlindTrial(PAIRS[:2], 1)
    first = trial.prompt()
    trial.judge("tie", 2.0)
    assert trial.scores() == [0.5]
    assert trial.prompt() != first
    trial.undo()
    assert trial.prompt() == first
    assert trial.undo() is None


def test_sentence_decides_only_when_the_interval_does():
    assert verdict_sentence(0.71, 0.49, 0.88, 48, "PPO", "Base").endswith("Not enough to decide yet: about 5 more.")
    assert "It is better" in verdict_sentence(0.8, 0.6, 0.9, 48, "PPO", "Base")
    assert "It is worse" in verdict_sentence(0.2, 0.1, 0.4, 48, "PPO", "Base")
