"""Where models come from and go to: the local library; later pull, push and cards."""
