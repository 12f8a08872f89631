"""The projects of a workspace: making, renaming, copying, putting away, deleting, bringing back."""
