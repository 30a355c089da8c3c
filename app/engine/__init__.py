"""The binding to the job engine (DBOS). Only `client`, `leases` and `worker` import it."""
