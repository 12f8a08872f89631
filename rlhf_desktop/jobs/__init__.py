"""Run folders, the queue, the supervisor, following and controlling a run; the inference worker's client. No Qt, no torch."""
