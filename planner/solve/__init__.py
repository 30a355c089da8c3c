"""Solvers: which option each unit takes, so that a step fits a budget at the least added time."""
