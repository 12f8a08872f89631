"""Judging answers, the same in Chat and in Label: cards, forms, drafts, and the keys."""
