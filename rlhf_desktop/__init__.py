"""RLHF Desktop: one expert teaches a local language model what a good answer is."""

__version__ = "0.1.0"
