"""What computes a model's answers, behind one interface: `base` says what an engine does, each of the others is one."""
