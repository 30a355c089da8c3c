"""The HTTP service: settings, endpoints, database, and the binding to the job engine."""
