"""State-space models from their own blocks."""

from __future__ import annotations

from planner.presets.architecture import ArchitecturePreset, blocks, network, tokens
from planner.presets.preset import Fields, Preset

_NO_FEED_FORWARD: Fields = {"kind": "none"}
_MAMBA: Fields = {"kind": "mamba"}

STATE_SPACE_PRESETS: dict[str, Preset] = {
    "mamba-blocks": ArchitecturePreset(
        "text-generation",
        "decoder of selective state spaces that are computed again in backward",
        "arXiv 2312.00752",
        "Mamba 130M, as state-spaces/mamba-130m's configuration file has it",
        network(
            768,
            tokens(50_280, 2_048, positions="none"),
            blocks(24, _MAMBA, _NO_FEED_FORWARD, norm="rms_norm"),
        ),
        network(
            128,
            tokens(8_192, 512, positions="none"),
            blocks(4, {**_MAMBA, "chunk_size": 16}, _NO_FEED_FORWARD, norm="rms_norm"),
        ),
        {"paper": {"sequence_length": 2_048}},
    ),
}
