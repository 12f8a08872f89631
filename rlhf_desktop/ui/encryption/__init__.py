"""Encryption in the window: the page that unlocks a workspace, the card in Settings, and the lock when nobody is there."""
