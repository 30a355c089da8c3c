from __future__ import annotations

from app.cli.strategy_text import summary
from planner.strategy import Strategy


def unit(module, action="recompute", **more):
    return {"module": module, "action": action, **more}


def lines(*units, **whole):
    return summary(Strategy.model_validate({"units": units, **whole}).model_dump(mode="json"))


def test_consecutive_units_treated_alike_are_one_line():
    blocks = [unit(f"transformer.h.{n}") for n in range(8)]
    kept = [unit(f"transformer.h.{n}", "keep") for n in range(8, 12)]
    assert lines(*blocks, *kept) == ["h.0-h.7 recompute", "h.8-h.11 keep"]


def test_a_gap_or_another_parent_begins_a_new_line():
    found = lines(unit("encoder.0"), unit("encoder.2"), unit("decoder.3"))
    assert found == ["encoder.0 recompute", "encoder.2 recompute", "decoder.3 recompute"]


def test_what_is_saved_is_compared_in_full_and_shown_in_short():
    many = [f"aten.addmm#{n}" for n in range(9)]
    other = [f"aten.mm#{n}" for n in range(9)]
    assert lines(
        unit("h.0", "selective", save=["aten.addmm#1"]),
        unit("h.1", "selective", save=["aten.addmm#1"]),
        unit("h.2", "selective", save=many),
        unit("h.3", "selective", save=other),
    ) == [
        "h.0-h.1 selective, aten.addmm#1 saved",
        "h.2 selective, 9 outputs saved",
        "h.3 selective, 9 outputs saved",
    ]


def test_a_segment_is_told_from_units_recomputed_each():
    assert lines(unit("a.h.0", through="a.h.3"), unit("a.h.4", through="a.h.7")) == [
        "h.0-h.3 recompute as one",
        "h.4-h.7 recompute as one",
    ]


def test_choices_for_the_whole_step_follow():
    found = lines(
        micro_batches=4,
        loss_chunks=8,
        optimizer={"implementation": "for-loop", "in_backward": True},
        attention="sdpa",
        precision="bf16",
        optimizer_states="8bit",
    )
    assert found == [
        "4 micro-batches",
        "loss in 8 chunks",
        "optimizer for-loop",
        "optimizer steps in backward",
        "attention sdpa",
        "precision bf16",
        "optimizer states 8bit",
    ]
    assert lines(checkpointing="full") == ["every block recompute"]
    assert lines() == ["nothing is changed"]


def test_compression_is_a_line_for_each_choice():
    choices = [
        {"kind": "quantization", "format": "nf4"},
        {"kind": "structural_pruning", "ratio": 0.5},
    ]
    assert lines(compression=choices) == [
        "quantization, format nf4, block_size 64, double_quantization True",
        "structural pruning, ratio 0.5, parts ['heads', 'feed_forward'], score magnitude, "
        "allocation uniform",
    ]
