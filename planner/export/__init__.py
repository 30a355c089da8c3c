"""Tapes as files for other tools. From the tape alone; no torch."""
