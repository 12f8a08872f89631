"""Conversations, completions, judgements, rankings: pure values and what they mean to a trainer."""
