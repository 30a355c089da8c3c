"""Named descriptions that ship with Headroom."""

from __future__ import annotations

import difflib

from planner.errors import InvalidRequest
from planner.presets.blocks import BLOCKS_PRESETS
from planner.presets.encoder_decoders import ENCODER_DECODER_PRESETS
from planner.presets.fine_tuning import FINE_TUNING_PRESETS
from planner.presets.language import LANGUAGE_PRESETS
from planner.presets.preset import Preset
from planner.presets.schedules import SCHEDULE_PRESETS
from planner.presets.segresmamba import SEGRESMAMBA_PRESETS
from planner.presets.state_space import STATE_SPACE_PRESETS
from planner.presets.vision import VISION_PRESETS
from planner.request import PresetModel, SimulationRequest

PRESETS: dict[str, Preset] = {
    **LANGUAGE_PRESETS,
    **VISION_PRESETS,
    **BLOCKS_PRESETS,
    **ENCODER_DECODER_PRESETS,
    **FINE_TUNING_PRESETS,
    **SCHEDULE_PRESETS,
    **SEGRESMAMBA_PRESETS,
    **STATE_SPACE_PRESETS,
}


def resolve(request: SimulationRequest) -> SimulationRequest:
    """The request with a preset replaced by the description it stands for.

    Raises:
        InvalidRequest: there is no preset of that name.
    """
    if not isinstance(request.model, PresetModel):
        return request
    preset = PRESETS.get(request.model.name)
    if preset is None:
        close = difflib.get_close_matches(request.model.name, PRESETS, n=1)
        hint = f'did you mean "{close[0]}"? ' if close else ""
        raise InvalidRequest.at(
            "/model/name",
            f"unknown preset {request.model.name!r}",
            f"{hint}presets are {', '.join(PRESETS)}",
        )
    return request.model_copy(update={"model": preset.description(request.model.size)})
