"""The window: one folder a screen. PySide6."""
