"""The processes that import torch: python -m rlhf_desktop.worker chat|train|probe|convert."""
