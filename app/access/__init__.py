"""Who may ask what: API keys, the guard in front of every call, the log of writes."""
