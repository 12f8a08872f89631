"""TRL's RewardTrainer on given pairs, then its scores of held-out ones. Run by bench_reward_quality.py with a python that has trl.

A batch is accumulated pair by pair: the same update, without padding each pair to the longest of the batch (a third of the time).
Reads JSON lines {"prompt": [...], "chosen": [...], "rejected": [...]}; writes {"margins": [...], …}: for each held-out pair by how
much the chosen answer is scored higher.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from trl import RewardConfig, RewardTrainer


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--model", "--train", "--heldout", "--out"):
        parser.add_argument(name, required=True)
    for name in ("--seed", "--epochs", "--batch", "--max-length", "--rank", "--alpha"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--dtype", default="bfloat16")
    return parser.parse_args()


def rows(path: str) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


@torch.no_grad()
def score(model, tokenizer, messages: list[dict], max_length: int) -> float:
    """One answer alone: nothing is padded."""
    ids = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)[:max_length]
    return float(model(input_ids=torch.tensor([ids], device=model.device)).logits.float())


def main() -> None:
    a = arguments()
    torch.manual_seed(a.seed)
    tokenizer = AutoTokenizer.from_pretrained(a.model)
    model = AutoModelForSequenceClassification.from_pretrained(a.model, num_labels=1, dtype=getattr(torch, a.dtype))
    config = RewardConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=1, gradient_accumulation_steps=a.batch,
        num_train_epochs=a.epochs, max_length=a.max_length, learning_rate=a.learning_rate, seed=a.seed, report_to=[],
        save_strategy="no", logging_steps=50, disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(), bf16=a.dtype == "bfloat16", gradient_checkpointing=False,
    )  # fmt: skip
    lora = LoraConfig(
        task_type="SEQ_CLS", modules_to_save=["score"], r=a.rank, lora_alpha=a.alpha, target_modules="all-linear", lora_dropout=0.0
    )
    data = Dataset.from_list(rows(a.train))
    trainer = RewardTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer, peft_config=lora)
    start = time.perf_counter()
    trainer.train()
    wall_s = time.perf_counter() - start
    trained = trainer.model.eval()
    margins = [
        score(trained, tokenizer, row["prompt"] + row["chosen"], a.max_length)
        - score(trained, tokenizer, row["prompt"] + row["rejected"], a.max_length)
        for row in rows(a.heldout)
    ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    Path(a.out).write_text(json.dumps({"margins": margins, "wall_s": wall_s, "peak_rss_bytes": peak}))


if __name__ == "__main__":
    main()
