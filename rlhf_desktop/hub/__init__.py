"""Where models come from and go to: the local library, the Hugging Face Hub (pull, push, cards, privacy), servers of one's own."""
