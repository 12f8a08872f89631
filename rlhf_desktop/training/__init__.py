"""sft, reward, ppo, dpo: losses, the loop, checkpoints. torch, transformers, peft."""
