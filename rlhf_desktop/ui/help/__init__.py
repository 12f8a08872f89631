"""The guide in the window: its pages, the search through them, and the words they explain. Opens no file but the guide's own."""
