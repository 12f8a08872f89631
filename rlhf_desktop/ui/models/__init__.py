"""The Models room: base models and the adapters trained on them."""
