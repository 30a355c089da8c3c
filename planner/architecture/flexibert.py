"""From model dictionaries of FlexiBERT's design space (arXiv 2205.11656; TransCODE's is the same,
arXiv 2303.14882) to descriptions.

The dictionaries are those of the authors' code (github.com/jha-lab/txf_design-space): for each
layer `o` its heads, `h` its hidden size and `f` the widths of its feed-forward's layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OPERATIONS = {"sa": ("sdp", "wma"), "l": ("dft", "dct")}


def flexibert(
    model_dict: Mapping[str, Any],
    *,
    vocab_size: int = 30_522,
    max_positions: int = 512,
    dropout: float = 0.1,
) -> dict[str, Any]:
    """Fields of `"source": "architecture"`, besides its task.

    What BERT adds and such dictionaries do not say follows its authors' configuration: post-norm,
    gelu, dropout of 0.1. Not built are attention by relative positions (positions are learned for
    each token instead), token types and the embedding's norm.

    Args:
        model_dict: with heads as `sa_sdp_64` in `o`; or, as in the first paper, one operation a
            layer (`o`: sa, l, c; `p`: sdp, wma, dft, dct or a kernel size; `n`: heads), which is
            then the operation of each of its heads.

    Raises:
        ValueError: it is no such dictionary.
    """
    try:
        layers = _layers(model_dict)
        blocks = [_entry(*layer, dropout) for layer in layers]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no model dictionary of FlexiBERT: {error!r}") from error
    return {
        "hidden_size": layers[0][0],
        "embedding": {
            "kind": "tokens",
            "vocab_size": vocab_size,
            "max_positions": max_positions,
            "dropout": dropout,
        },
        "blocks": blocks,
    }


def _layers(model_dict: Mapping[str, Any]) -> list[tuple[int, list[str], list[int]]]:
    """Hidden size, heads and feed-forward of each layer."""
    heads = model_dict["o"]
    if "p" in model_dict:
        given = zip(heads, model_dict["p"], model_dict["n"], model_dict["h"], strict=True)
        heads = [[f"{kind}_{what}_{size // n}"] * n for kind, what, n, size in given]
    layers = list(zip(model_dict["h"], heads, model_dict["f"], strict=True))
    if len(layers) != model_dict["l"] or not layers:
        raise ValueError(f"{len(layers)} layers, and l is {model_dict['l']}")
    return layers


def _entry(size: int, heads: list[str], feed_forward: list[int], dropout: float) -> dict[str, Any]:
    parts = [head.split("_") for head in heads]
    widths = {int(width) for _, _, width in parts}
    if len(widths) != 1:
        raise ValueError(f"heads of one layer are of one width, not {sorted(widths)}")
    return {
        "hidden_size": size,
        "attention": {
            "kind": "heads",
            "heads": [_head(kind, what) for kind, what, _ in parts],
            "head_dim": widths.pop(),
            "attention_dropout": dropout,
        },
        "feed_forward": {"kind": "dense", "intermediate_size": list(feed_forward)},
        "norm_position": "post",
        "dropout": dropout,
    }


def _head(kind: str, what: str) -> dict[str, Any]:
    """Of `sa_sdp`, `sa_wma`, `l_dft`, `l_dct`, or `c_9`."""
    if kind == "c":
        return {"op": "conv", "kernel_size": int(what)}
    if what not in _OPERATIONS.get(kind, ()):
        raise ValueError(f"no operation {kind}_{what}")
    return {"op": what}
