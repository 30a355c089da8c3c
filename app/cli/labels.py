"""Labels of workers, as options write them."""

from __future__ import annotations

from app.cli.errors import usage_error


def parse_labels(labels: list[str]) -> dict[str, str]:
    """`["device=cuda"]` -> `{"device": "cuda"}`.

    Raises:
        CliError: one of them has no name or no `=`.
    """
    pairs = [label.partition("=") for label in labels]
    for label, (name, separator, _) in zip(labels, pairs, strict=True):
        if not separator or not name:
            raise usage_error(f"--label {label}: write it as NAME=VALUE, such as device=cuda")
    return {name: value for name, _, value in pairs}
