"""Which shape a model's logits have, as far as its description tells."""

from __future__ import annotations

from planner.architecture import ArchitectureModel
from planner.architecture.description import PatchEmbedding
from planner.models.config import make_config
from planner.request import ModelDescription, TransformersModel, Workload

TOKEN_TASKS = ("text-generation", "fill-mask", "text2text-generation", "token-classification")
"""Tasks with logits for each token."""

SAMPLE_TASKS = ("text-classification", "image-classification")
"""Tasks with logits for each sample."""


def logits_shape(model: ModelDescription, workload: Workload) -> tuple[int, ...] | None:
    """Shape of the logits, classes last; None where the description does not tell."""
    width = classes(model, workload)
    if width is None or not isinstance(model, (TransformersModel, ArchitectureModel)):
        return None
    if model.task in SAMPLE_TASKS:
        return (workload.batch_size, width)
    length = workload.sequence_length
    if model.task == "text2text-generation":
        length = workload.target_length or length
    if isinstance(model, ArchitectureModel) and isinstance(model.embedding, PatchEmbedding):
        length = model.tokens(length)
    return (workload.batch_size, length, width)


def classes(model: ModelDescription, workload: Workload) -> int | None:
    """How many logits a token or a sample has; None where the description does not tell.

    Raises:
        InvalidRequest: the library refuses the configuration.
    """
    if not isinstance(model, (TransformersModel, ArchitectureModel)):
        return None
    if model.task not in (*TOKEN_TASKS, *SAMPLE_TASKS):
        return None
    labelled = model.task.endswith("classification")
    if isinstance(model, ArchitectureModel):
        if labelled:
            return model.num_labels
        return getattr(model.embedding, "vocab_size", None)
    config = make_config(model, workload)
    if labelled:
        return config.num_labels
    return getattr(config.get_text_config(decoder=True), "vocab_size", None)
