"""`python -m app.cli` is the command `headroom`."""

from app.cli import main

main()
