"""Load a model, render chat templates, sample K answers at once. torch, transformers, peft."""
