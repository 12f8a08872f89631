"""A short list of models that are good to start with. The Hub has the last word: it is asked again before a download.

Each is of a family that trains here (`core.families`), instruction-tuned, and offered as safetensors.
"""

from dataclasses import dataclass

REVIEWED = "2026-11-30"
"""When somebody last went through the list."""


@dataclass(frozen=True)
class Licence:
    """A licence and what it means to a user, in a few plain words. No legal advice: the text counts."""

    name: str
    meaning: str
    accept: bool = False  # its makers want it accepted on the Hub, with an account, before they hand the model out


LICENCES = {
    "apache-2.0": Licence("Apache 2.0", "free for any use, also commercial"),
    "mit": Licence("MIT", "free for any use, also commercial"),
    "gemma": Licence("Gemma terms", "commercial use allowed; Google’s list of forbidden uses holds, for your tuned ones too", True),
    "llama3.2": Licence(
        "Llama 3.2 Community Licence",
        "commercial use allowed below 700 million monthly users; Meta’s list of forbidden uses holds, and “Llama” must be named",
        True,
    ),
}


@dataclass(frozen=True)
class Recommended:
    """One model.

    Attributes:
        repo: On the Hub.
        parameters: How many it computes with.
        download_bytes: Of its weights, as they lie on the Hub.
        licence: A key of `LICENCES`.
        family: What its config.json calls its kind.
        note: What it is good for.
    """

    repo: str
    parameters: float
    download_bytes: float
    licence: str
    family: str
    note: str

    @property
    def name(self) -> str:
        """Without its owner."""
        return self.repo.partition("/")[2]

    @property
    def terms(self) -> Licence:
        """Its licence, in words."""
        return LICENCES[self.licence]


RECOMMENDED = (
    Recommended("HuggingFaceTB/SmolLM2-360M-Instruct", 0.36e9, 0.72e9, "apache-2.0", "llama", "fast on any laptop, simple answers"),
    Recommended("Qwen/Qwen3-0.6B", 0.60e9, 1.50e9, "apache-2.0", "qwen3", "the smallest that can think first; many languages"),
    Recommended("google/gemma-3-1b-it", 1.00e9, 2.00e9, "gemma", "gemma3_text", "fluent for its size; best in English"),
    Recommended("meta-llama/Llama-3.2-1B-Instruct", 1.24e9, 2.47e9, "llama3.2", "llama", "summaries, rewriting; eight languages"),
    Recommended("allenai/OLMo-2-0425-1B-Instruct", 1.48e9, 2.97e9, "apache-2.0", "olmo2", "all of its training data is public"),
    Recommended("Qwen/Qwen2.5-1.5B-Instruct", 1.54e9, 3.09e9, "apache-2.0", "qwen2", "a good first choice; many languages"),
    Recommended("HuggingFaceTB/SmolLM2-1.7B-Instruct", 1.71e9, 3.42e9, "apache-2.0", "llama", "the starter’s larger sister"),
    Recommended("Qwen/Qwen3-1.7B", 1.72e9, 4.06e9, "apache-2.0", "qwen3", "can think first; many languages"),
    Recommended("ibm-granite/granite-3.3-2b-instruct", 2.53e9, 5.07e9, "apache-2.0", "granite", "for documents, extraction, code"),
    Recommended("HuggingFaceTB/SmolLM3-3B", 3.08e9, 6.15e9, "apache-2.0", "smollm3", "can think first; six European languages"),
    Recommended("meta-llama/Llama-3.2-3B-Instruct", 3.21e9, 6.43e9, "llama3.2", "llama", "writes well; eight languages"),
    Recommended("microsoft/Phi-4-mini-instruct", 3.84e9, 7.67e9, "mit", "phi3", "strong at reasoning and maths for its size"),
    Recommended("Qwen/Qwen3-4B-Instruct-2507", 4.02e9, 8.04e9, "apache-2.0", "qwen3", "a strong all-rounder; answers at once"),
    Recommended("google/gemma-3-4b-it", 4.30e9, 8.60e9, "gemma", "gemma3", "writes well in many languages"),
    Recommended("Qwen/Qwen3-8B", 8.19e9, 16.38e9, "apache-2.0", "qwen3", "needs a large graphics card to train"),
)
"""The smallest first."""
