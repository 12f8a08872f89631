"""A tiny random-weight Llama with a byte-level tokenizer and a chat template: the whole program runs on it in seconds."""

import hashlib
from pathlib import Path

from rlhf_desktop.core.runs import ModelRef

SYSTEM = "You are a tiny test."

TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\n" + SYSTEM + "<|im_end|>\n' }}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CORPUS = [
    "The printer you sold me does not print. I am very sorry to hear that the printer is broken.",
    "We will send a new one today. Could you tell me the number of your order, please?",
    "Thank you. Your kettle, your lamp and your phone are on their way to you.",
]


def make_tiny_model(folder: Path, *, seed: int = 0, tokenizer=None) -> ModelRef:
    """Save a random 2-layer Llama (about 100,000 parameters) and its tokenizer in `folder`, as transformers does.

    Tokens: 256 bytes, some merges, `<|endoftext|>` (0), `<|im_start|>` (1), `<|im_end|>` (2, the end of a turn; also the pad token,
    as in the starter model's file). Without a system message the template adds one.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer or make_tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        tie_word_embeddings=True,
        initializer_range=0.2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelRef(name=f"tiny-{seed}", path=str(folder), hash=hashlib.sha256(f"tiny-{seed}".encode()).hexdigest())


def make_tiny_tokenizer():
    """The tokenizer alone, a `PreTrainedTokenizerFast`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
