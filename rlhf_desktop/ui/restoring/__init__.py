"""Getting a backup back, at the start and from Settings."""
