"""The binding to the job engine (DBOS). Only `client` and `worker` may import it."""
