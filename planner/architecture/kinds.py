"""The kinds of attention, feed-forward and the rest, for those who ask what there is."""

from __future__ import annotations

from typing import Any, get_args

from planner.architecture.adapter import Adapter
from planner.architecture.attention import Attention, Dense
from planner.architecture.bottleneck import Bottleneck
from planner.architecture.description import Blocks, TokenEmbedding
from planner.architecture.feed_forward import FeedForward
from planner.architecture.tokens import TokenSchedule

Entry = dict[str, Any]


def kinds() -> dict[str, list[Entry]]:
    """By field of a description: each kind with what it is, its paper and its own fields."""
    return {
        "attention": [_kind(spec, {"decoders": spec.causal_too}) for spec in _members(Attention)],
        "cross_attention": [_kind(Dense, {})],
        "feed_forward": [_kind(spec, {}) for spec in _members(FeedForward)],
        "tokens": [_kind(spec, {}) for spec in _members(TokenSchedule)],
        "block": [_part("adapter", Adapter), _part("bottleneck", Bottleneck)],
        "residual": _values(Blocks, "residual"),
        "norm": _values(Blocks, "norm"),
        "share": _values(Blocks, "share"),
        "positions": _values(TokenEmbedding, "positions"),
    }


def _members(annotated: Any) -> tuple[Any, ...]:
    """The classes of an annotated union."""
    return get_args(get_args(annotated)[0])


def _kind(spec: Any, more: Entry) -> Entry:
    (kind,) = get_args(spec.model_fields["kind"].annotation)
    return {**_part(kind, spec), **more}


def _part(name: str, spec: Any) -> Entry:
    fields = [field for field in spec.model_fields if field != "kind"]
    return {"kind": name, "summary": spec.summary, "paper": spec.paper, "fields": fields}


def _values(spec: Any, field: str) -> list[Entry]:
    return [{"kind": value} for value in get_args(spec.model_fields[field].annotation)]
