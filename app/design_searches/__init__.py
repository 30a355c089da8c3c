"""Design searches: the best architecture, workload or device of a space."""
