"""The Settings room: who, where, appearance, device, about."""
