"""Generic parts of the HTTP service that know nothing of simulations and runs."""
