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
from planner.request import ModelDescription, PresetModel, SimulationRequest

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
    """The request with presets replaced by the descriptions that they stand for, a teacher's too.

    Raises:
        InvalidRequest: there is no preset of that name.
    """
    model = _resolved(request.model, "/model")
    workload, distillation = request.workload, request.workload.distillation
    if distillation is not None and distillation.teacher is not None:
        teacher = _resolved(distillation.teacher, "/workload/distillation/teacher")
        distillation = distillation.model_copy(update={"teacher": teacher})
        workload = workload.model_copy(update={"distillation": distillation})
    return request.model_copy(update={"model": model, "workload": workload})


def _resolved(model: ModelDescription, pointer: str) -> ModelDescription:
    if not isinstance(model, PresetModel):
        return model
    preset = PRESETS.get(model.name)
    if preset is None:
        close = difflib.get_close_matches(model.name, PRESETS, n=1)
        hint = f'did you mean "{close[0]}"? ' if close else ""
        raise InvalidRequest.at(
            f"{pointer}/name",
            f"unknown preset {model.name!r}",
            f"{hint}presets are {', '.join(PRESETS)}",
        )
    return preset.description(model.size)
