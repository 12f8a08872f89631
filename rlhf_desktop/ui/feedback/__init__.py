"""The Feedback room: every judgement, as it was made."""
