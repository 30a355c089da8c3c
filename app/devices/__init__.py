"""Device profiles: built in, or posted."""
