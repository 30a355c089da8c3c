"""Key-value caches of generation on `transformers`' cache interface, one module for each policy."""
