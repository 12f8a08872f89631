"""A frozen base model held in 4-bit numbers: NF4 with doubly quantised scales (Dettmers et al., 2023), through bitsandbytes.

Each weight is quantised as it is read, so the full model is never in memory. Embeddings and head keep their format; adapters are
trained in it on top. bitsandbytes is optional: its kernels are for NVIDIA cards, and on a processor it saves memory but no time.
"""

from typing import Any

import torch
from transformers import BitsAndBytesConfig

from rlhf_desktop.core.recipes import check_quantization


def loading_options(dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    """What `from_pretrained` is told besides.

    Args:
        dtype: Number format of the products.
        device: Where the model goes; it cannot be moved later.

    Raises:
        ModelTrouble: bitsandbytes is not installed.
    """
    check_quantization("4bit")
    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    return {"quantization_config": config, "device_map": {"": device}}


def treat_as_plain(model: Any) -> None:
    """Let our LoRA layers lie on the 4-bit layers as on any other: PEFT's own for 4-bit would cast every input.

    On a processor the layers would also repack themselves for a kernel that has no gradients.
    """
    from bitsandbytes.nn import Linear4bit

    model.is_loaded_in_4bit = False
    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            layer.support_avx512bf16_for_cpu = False
