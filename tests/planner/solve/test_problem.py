"""Levels of a segment, each reasoned out by hand."""

from planner.solve.problem import (
    Chosen,
    Gap,
    Option,
    Problem,
    Segment,
    Unit,
    flops,
    levels,
    peak_bytes,
    seconds,
)


def unit(number, *, input_bytes, forward, backward):
    keep = Option("keep", 0.0, 10 + input_bytes, 12 + number, 20 + input_bytes, flops=0)
    less = Option("less", 1.0, input_bytes, 13 + number, 25 + input_bytes, flops=7)
    return Unit(
        name=f"u{number}",
        kind=f"k{number}",
        options=(keep, less),
        forward_level_bytes=forward,
        backward_level_bytes=backward,
        input_bytes=input_bytes,
        forward_seconds=3.0,
        forward_flops=5,
        transient_bytes=6 + number,
    )


PROBLEM = Problem(
    units=(
        unit(0, input_bytes=1, forward=100, backward=130),
        unit(1, input_bytes=2, forward=101, backward=120),
        unit(2, input_bytes=3, forward=102, backward=110),
        unit(3, input_bytes=4, forward=103, backward=105),
    ),
    gaps=(Gap("embedding", 0, 90), Gap("loss", 4, 150), Gap("step", 0, 140)),
    segmentable=(True, True, True),
)


def test_units_alone():
    choices = (Chosen(0, 0), Chosen(1, 1), Chosen(2, 0), Chosen(3, 1))
    # Saved: 11, 2, 13, 4; so the prefixes are 0, 11, 13, 26, 30.
    assert dict(levels(PROBLEM, choices)) == {
        "u0.forward": 100 + 0 + 12,
        "u0.backward": 130 + 0 + 21,
        "u1.forward": 101 + 11 + 14,
        "u1.backward": 120 + 11 + 27,
        "u2.forward": 102 + 13 + 14,
        "u2.backward": 110 + 13 + 23,
        "u3.forward": 103 + 26 + 16,
        "u3.backward": 105 + 26 + 29,
        "embedding": 90,
        "loss": 150 + 30,
        "step": 140,
    }
    assert (peak_bytes(PROBLEM, choices), seconds(PROBLEM, choices)) == (180, 2.0)


def test_a_segment_after_a_unit():
    inside = (Chosen(1, 0), Chosen(2, 0), Chosen(3, 1))
    choices = (Chosen(0, 0), Segment(1, 3, inside))
    assert dict(levels(PROBLEM, choices)) == {
        "u0.forward": 112,
        "u0.backward": 151,
        # Unit 0 saved 11. Of the segment only the input (2) is held, which the first unit's level
        # has already; nothing is saved inside, so each unit's own bytes are the transient ones.
        "u1.forward": 101 + 11 + 7,
        "u2.forward": 102 + 11 + 2 + 8,
        "u3.forward": 103 + 11 + 2 + 9,
        # Recomputed where the backward of unit 3 begins (level 105), with 11 + 2 held: unit 1 runs
        # from the input held; unit 2 from its own input (3) while unit 1 saved 12, the segment's
        # input among them; unit 3 while unit 2 saved 13 more.
        "u1.recompute": 105 + 13 + 13,
        "u2.recompute": 105 + 11 + 12 + 3 + 14,
        "u3.recompute": 105 + 11 + 12 + 13 + 4 + 16,
        # The backward of each with what the ones before it saved.
        "u3.backward": 105 + 11 + 12 + 13 + 29,
        "u2.backward": 110 + 11 + 12 + 23,
        "u1.backward": 120 + 11 + 22,
        "embedding": 90,
        "loss": 150 + 11 + 2,
        "step": 140,
    }
    assert seconds(PROBLEM, choices) == 3 * 3.0 + 1.0
    assert flops(PROBLEM, choices) == 3 * 5 + 7


def test_segments_in_a_segment():
    choices = (
        Segment(0, 3, (Segment(0, 1, (Chosen(0, 0), Chosen(1, 0))), Chosen(2, 0), Chosen(3, 0))),
    )
    found = list(levels(PROBLEM, choices))
    assert found == [
        # Forward: the input of unit 0 (1) is in its level and is what is held after it.
        ("u0.forward", 100 + 6),
        ("u1.forward", 101 + 1 + 7),
        ("u2.forward", 102 + 1 + 8),
        ("u3.forward", 103 + 1 + 9),
        # At the begin of backward (105) the nested segment holds the same input, so units 0 and 1
        # run with 1 held in all, unit 1 with its own input (2) alive as well.
        ("u0.recompute", 105 + 1 + 6),
        ("u1.recompute", 105 + 1 + 2 + 7),
        ("u2.recompute", 105 + 1 + 3 + 14),
        ("u3.recompute", 105 + 1 + 13 + 4 + 15),
        # The nested segment: units 0 and 1 run again where the backward of unit 1 begins (120).
        ("u0.recompute", 120 + 1 + 12),
        ("u1.recompute", 120 + 11 + 2 + 13),
        ("u0.backward", 130 + 21),
        ("u1.backward", 120 + 11 + 22),
        ("u2.backward", 110 + 1 + 23),
        ("u3.backward", 105 + 1 + 13 + 24),
        ("embedding", 90),
        ("loss", 150 + 1),
        ("step", 140),
    ]
    assert seconds(PROBLEM, choices) == 4 * 3.0 + 2 * 3.0
