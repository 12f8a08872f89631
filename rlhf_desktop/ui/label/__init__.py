"""The Label room: judge from a queue of prompts."""
