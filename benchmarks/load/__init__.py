"""What the service stands under load, measured through real processes and a real database."""
