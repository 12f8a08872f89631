"""Chat: talk to the model, ask for several answers, say which is better."""
