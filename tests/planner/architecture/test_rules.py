"""What cannot be is refused at its field, with a remedy."""

import pytest
from pydantic import ValidationError

from planner.architecture.kinds import kinds
from planner.errors import InvalidRequest
from tests.planner.models.architecture.descriptions import (
    EVERY,
    LENGTH,
    NARROW,
    heads,
    memformer,
    request,
    tokens,
    translator,
)

ATTENTION, FEED_FORWARD = "/model/blocks/0/attention", "/model/blocks/0/feed_forward"
MEMORY = {"kind": "memory", "bits": 5}
PATCHES = {"kind": "patches", "image_size": 16, "patch_size": 4}
WRONG = {
    f"{ATTENTION}/kind": {"attention": heads("linformer")},
    f"{ATTENTION}/num_heads": {"attention": heads("dense", num_heads=5)},
    f"{ATTENTION}/num_key_value_heads": {"attention": heads("dense", num_key_value_heads=3)},
    f"{ATTENTION}/window": {"attention": heads("sliding_window", window=5)},
    f"{ATTENTION}/stride": {"attention": heads("sparse", stride=7, summary_tokens=1)},
    f"{ATTENTION}/summary_tokens": {"attention": heads("sparse", stride=8, summary_tokens=9)},
    f"{ATTENTION}/block_size": {"attention": heads("block_sparse", block_size=5)},
    f"{ATTENTION}/window_blocks": {
        "attention": heads("block_sparse", block_size=4, window_blocks=2)
    },
    f"{ATTENTION}/num_buckets": {"attention": heads("lsh", chunk_size=8, num_buckets=3)},
    f"{ATTENTION}/chunk_size": {"attention": heads("linear", chunk_size=5)},
    f"{ATTENTION}/num_landmarks": {
        "task": "fill-mask",
        "attention": heads("nystrom", num_landmarks=5),
    },
    f"{ATTENTION}/conv_kernel_size": {
        "task": "fill-mask",
        "attention": heads("nystrom", num_landmarks=8, conv_kernel_size=4),
    },
    f"{ATTENTION}/bidirectional": {"attention": {"kind": "mamba", "bidirectional": True}},
    f"{ATTENTION}/projection/bits": {"attention": heads("dense", projection=MEMORY)},
    f"{ATTENTION}/1/window": {"attention": [heads("dense"), heads("sliding_window", window=5)]},
    f"{ATTENTION}": {"attention": [heads("dense")], "share": "all"},
    f"{FEED_FORWARD}/bits": {"feed_forward": MEMORY},
    f"{FEED_FORWARD}/top_k": {"feed_forward": {"kind": "experts", "num_experts": 2, "top_k": 3}},
    f"{FEED_FORWARD}": {"feed_forward": {"kind": "none"}, "residual": "reversible"},
    "/model/blocks/0/repeat": {"attention": [heads("dense")] * 2, "repeat": 3},
    "/model/blocks/0/norm_position": {"residual": "reversible", "norm_position": "post"},
    "/model/task": {"model": {"embedding": PATCHES}},
    "/model/embedding": {"task": "image-classification"},
    "/model/embedding/patch_size": {
        "task": "image-classification",
        "model": {"embedding": {**PATCHES, "patch_size": 5}},
    },
    "/model/embedding/axial_shape": {
        "model": {"embedding": tokens(positions="axial", axial_dims=[16, 16])}
    },
    "/model/embedding/axial_dims": {
        "model": {"embedding": tokens(positions="axial", axial_shape=[4, 8])}
    },
    "/model/embedding/trigram": {"model": {"embedding": tokens(trigram=True)}},
    "/model/blocks/0/share": {**NARROW, "share": "attention"},
    "/model/blocks/0/adapter": {**NARROW, "adapter": {"size": 4}},
    "/model/blocks/0/bottleneck/attention_input": {
        **NARROW,
        "attention": heads("lsh", chunk_size=8),
    },
    "/model/num_tasks": {"model": {"num_tasks": 2}},
    "/model/freeze/0": {"model": {"freeze": ["no such name; really"]}},
    "/workload/sequence_length": {"workload": {"sequence_length": LENGTH + 1}},
    "/workload/sequence_length ": memformer(segments=5),
    "/workload/target_length ": {**memformer(), "workload": {"target_length": 18}},
    "/model/memory ": memformer("token-classification"),
    "/workload/mode": {"workload": {"mode": "generation", "new_tokens": 1}},
    "/workload/target_length": {"workload": {"target_length": 8}},
    "/model/decoder": {"task": "text2text-generation"},
    "/model/decoder/0/cross_attention": translator(cross_attention=None),
    "/model/decoder/0/cross_attention/kind": translator(cross_attention=heads("performer")),
    "/model/decoder/0/cross_attention/num_heads": translator(
        cross_attention=heads("dense", num_heads=5)
    ),
    "/model/decoder/0/cross_attention/projection/kind": translator(
        cross_attention=heads("dense", projection={"kind": "memory", "bits": 4})
    ),
    "/model/decoder/0/residual": translator(residual="reversible"),
    "/model/decoder/0/attention/kind": translator(attention=heads("linformer")),
    "/model/decoder/0/attention/window": {
        **translator(attention=heads("sliding_window", window=8)),
        "workload": {"target_length": 12},
    },
    "/model/memory": {**memformer(), "cross_attention": None},
    "/model/memory/num_heads": memformer(num_heads=5),
    "/model/blocks/0/cross_attention": {"cross_attention": heads("dense")},
    "/workload/image_size": {"workload": {"image_size": 8}},
    "/strategy/attention": {"strategy": {"attention": "sdpa"}},
}


@pytest.mark.parametrize("pointer", WRONG)
def test_what_cannot_be_is_refused_at_its_field(pointer):
    with pytest.raises(InvalidRequest) as caught:
        request(**WRONG[pointer])
    assert [problem.pointer for problem in caught.value.errors] == [pointer.strip()]
    assert caught.value.errors[0].remedy


def test_the_parts_of_a_narrow_block_have_its_width():
    fields = {**NARROW, "attention": heads("dense", num_heads=32), "norm_position": "pre"}
    with pytest.raises(InvalidRequest) as caught:
        request(**fields)
    pointers = [problem.pointer for problem in caught.value.errors]
    assert pointers == ["/model/blocks/0/norm_position", f"{ATTENTION}/num_heads"]


@pytest.mark.parametrize("name", EVERY)
def test_what_can_be_is_accepted(name):
    assert request(**EVERY[name]).model.source == "architecture"


def test_several_problems_are_named_at_once():
    with pytest.raises(InvalidRequest) as caught:
        request(attention=heads("linformer", num_heads=5), feed_forward=MEMORY)
    assert len(caught.value.errors) == 3


@pytest.mark.parametrize(
    "blocks",
    [
        {"repeat": 1_001},
        {"attention": {"kind": "magic"}},
        {"attention": heads("dense", windw=3)},
        {"attention": heads("dense", attention_dropout=1.0)},
        {"feed_forward": {"kind": "dense", "intermediate_size": 2**21}},
        {"attention": []},
    ],
)
def test_unknown_and_unbounded_fields_are_refused(blocks):
    with pytest.raises(ValidationError):
        request(**blocks)


def test_errors_are_about_the_form_that_was_meant():
    with pytest.raises(ValidationError) as caught:
        request(attention=heads("lnformer"), feed_forward=[{"kind": "dense", "rnk": 3}])
    assert len(caught.value.errors()) == 2


def test_every_kind_says_what_it_is():
    listed = kinds()
    assert {"dense", "linformer", "lsh"} <= {entry["kind"] for entry in listed["attention"]}
    assert {"dense", "memory", "experts"} <= {entry["kind"] for entry in listed["feed_forward"]}
    assert all(entry["summary"] for entry in listed["attention"] + listed["feed_forward"])
    assert [entry["kind"] for entry in listed["block"]] == ["adapter", "bottleneck"]
    assert {"kind": "reversible"} in listed["residual"]
    assert [entry["kind"] for entry in listed["cross_attention"]] == ["dense"]
