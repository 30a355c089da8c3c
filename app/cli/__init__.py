"""The command line, `headroom`: starts the service, asks one, or works without any (`--local`)."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the `headroom` command; ends the process with one of `app.cli.errors.ExitCode`."""
    from app.cli.application import run

    run()
