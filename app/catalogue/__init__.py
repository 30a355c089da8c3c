"""What can be asked: models and techniques."""
