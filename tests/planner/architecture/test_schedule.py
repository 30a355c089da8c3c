"""Schedules of tokens that cannot be are refused at their field, with a remedy."""

import pytest

from planner.architecture.kinds import kinds
from planner.errors import InvalidRequest
from tests.planner.models.architecture.descriptions import (
    CLASSES,
    IMAGES,
    PATCHES,
    block,
    heads,
    request,
    window,
)

TOKENS, ATTENTION = "/model/blocks/0/tokens", "/model/blocks/0/attention"
MERGE = {"kind": "merge", "r": 4}
PRUNE = {"kind": "prune", "keep": 0.5}
POOL = {"kind": "pool"}


def entries(*blocks, **model):
    return {"model": {**PATCHES, **model, "blocks": list(blocks)}}


WRONG = {
    "a task about every token": (TOKENS, {"task": "fill-mask", "tokens": MERGE}),
    "a decoder": (TOKENS, {"tokens": POOL}),
    "more pairs than tokens have": (
        f"{TOKENS}/r",
        {**CLASSES, "tokens": {"kind": "merge", "r": 10}, "repeat": 3},
    ),
    "windows longer than the sequence": (TOKENS, {**CLASSES, "tokens": {**POOL, "stride": 32}}),
    "windows that divide no rows": (TOKENS, {**IMAGES, "tokens": {**POOL, "stride": 3}}),
    "pruning without a class token": (
        TOKENS,
        {**CLASSES, "tokens": PRUNE, "model": {"pooling": "mean"}},
    ),
    "nothing to prune": (TOKENS, {**CLASSES, "tokens": PRUNE, "workload": {"sequence_length": 1}}),
    "patches of a text": (TOKENS, {**CLASSES, "tokens": {"kind": "patch_merge"}}),
    "patches beside a class token": (TOKENS, {**IMAGES, "tokens": {"kind": "patch_merge"}}),
    "patches after merging": (
        "/model/blocks/1/tokens",
        {**IMAGES, **entries(block(tokens=MERGE), block(tokens={"kind": "patch_merge"}))},
    ),
    "rotary positions": (
        TOKENS,
        {**CLASSES, "tokens": POOL, "model": {"embedding": {"positions": "rotary"}}},
    ),
    "reversible merging": (
        "/model/blocks/0/residual",
        {**CLASSES, "tokens": MERGE, "residual": "reversible"},
    ),
    "reversible pooling of queries": (
        "/model/blocks/0/residual",
        {**CLASSES, "tokens": {**POOL, "queries_only": True}, "residual": "reversible"},
    ),
    "pooled queries without scores": (
        f"{TOKENS}/queries_only",
        {**CLASSES, "tokens": {**POOL, "queries_only": True}, "attention": heads("linear")},
    ),
    "no keys": (
        f"{ATTENTION}/kind",
        {**CLASSES, "tokens": MERGE, "attention": {"kind": "fourier"}},
    ),
    "no scores for sizes": (
        f"{ATTENTION}/kind",
        {**CLASSES, "tokens": MERGE, "attention": heads("linear")},
    ),
    "no scores of a class token": (
        f"{ATTENTION}/kind",
        {**CLASSES, "tokens": PRUNE, "attention": heads("linear")},
    ),
    "a later block's chunks": (
        f"{ATTENTION}/window",
        {
            **CLASSES,
            "repeat": 2,
            "tokens": {**MERGE, "proportional_attention": False},
            "attention": heads("sliding_window", window=8),
        },
    ),
    "one pattern for several lengths": (
        f"{ATTENTION}/kind",
        {
            **CLASSES,
            "repeat": 2,
            "share": "all",
            "tokens": {**MERGE, "proportional_attention": False},
            "attention": heads("block_sparse", block_size=4, global_blocks=1, random_blocks=1),
        },
    ),
    "windows of a text": (f"{ATTENTION}/kind", {**CLASSES, "attention": window(2)}),
    "windows beside a class token": (f"{ATTENTION}/kind", {**IMAGES, "attention": window(2)}),
    "windows that divide no grid": (
        f"{ATTENTION}/window",
        {**IMAGES, **entries(block(attention=window(3)))},
    ),
    "a shift of a whole window": (
        f"{ATTENTION}/shift",
        {**IMAGES, **entries(block(attention=window(2, shift=2)))},
    ),
    "a shift where one window is all": (
        f"{ATTENTION}/shift",
        {**IMAGES, **entries(block(attention=window(4, shift=1)))},
    ),
    "heads that divide no width": (
        f"{ATTENTION}/heads",
        {**CLASSES, "attention": {"kind": "heads", "heads": [{"op": "sdp"}] * 3}},
    ),
    "a kernel without a middle": (
        f"{ATTENTION}/heads/1/kernel_size",
        {
            **CLASSES,
            "attention": {
                "kind": "heads",
                "heads": [{"op": "sdp"}, {"op": "conv", "kernel_size": 4}],
            },
        },
    ),
    "heads in a decoder": (
        f"{ATTENTION}/kind",
        {"attention": {"kind": "heads", "heads": [{"op": "sdp"}]}},
    ),
    "heads that divide no entry's width": (
        "/model/blocks/1/attention/num_heads",
        {**IMAGES, **entries(block(), block(hidden_size=30))},
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_refused_at_its_field(name):
    pointer, given = WRONG[name]
    with pytest.raises(InvalidRequest) as caught:
        request(**given)
    assert [problem.pointer for problem in caught.value.errors] == [pointer]
    assert caught.value.errors[0].remedy


def test_a_schedule_that_fails_hides_no_other_problem():
    with pytest.raises(InvalidRequest) as caught:
        request(
            **CLASSES,
            tokens={"kind": "merge", "r": 99},
            attention=heads("dense", num_heads=5),
        )
    pointers = {problem.pointer for problem in caught.value.errors}
    assert pointers == {f"{TOKENS}/r", f"{ATTENTION}/num_heads"}


def test_schedules_are_listed_with_their_papers():
    listed = {entry["kind"]: entry for entry in kinds()["tokens"]}
    assert set(listed) == {"merge", "prune", "pool", "patch_merge"}
    assert listed["merge"]["fields"] == ["r", "proportional_attention"]
    assert all(entry["summary"] and entry["paper"] for entry in listed.values())
