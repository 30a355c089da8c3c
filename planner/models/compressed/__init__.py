"""Optimizers whose states are smaller than the parameters, in plain torch."""
