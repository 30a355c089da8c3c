"""What simulations and runs have in common: the states of a job and what changes them."""
