"""State changes as they happen."""
