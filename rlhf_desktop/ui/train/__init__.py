"""The Train room: recipes, the queue, and a page for every run."""
