"""Workers that are attached."""
