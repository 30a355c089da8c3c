"""How long a sequence a model can take, told from its configuration alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from planner.errors import FieldProblem
from planner.models.geometry import exact_length_problems, field_name
from planner.request import Workload

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

# Their position ids start after the padding id, so that many rows of the table are never reached
# (`create_position_ids_from_input_ids` in each one's modeling file).
_AFTER_PADDING = frozenset(
    """camembert data2vec-text ibert layoutlmv3 lilt longformer luke markuplm mpnet roberta
    roberta-prelayernorm xlm-roberta xlm-roberta-xl xmod""".split()  # noqa: SIM905
)
# Their field of that name bounds no sequence: positions are relative, axial, or made as needed.
_UNBOUNDED = frozenset({"reformer", "funnel", "xlnet", "bloom", "mpt", "canine"})
_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
_SIDES = {
    "encoder": ("max_encoder_position_embeddings", "max_source_positions"),
    "decoder": ("max_decoder_position_embeddings", "max_target_positions"),
}


def position_problems(
    config: PreTrainedConfig, workload: Workload, task: str
) -> Iterator[FieldProblem]:
    """Lengths of the workload that pass the model's positions."""
    if task in ("image-classification", "image-segmentation", "object-detection"):
        return
    if task in ("audio-classification", "automatic-speech-recognition"):
        yield from _target(config, workload)
        return
    text = config.get_text_config(decoder=True)
    yield from exact_length_problems(text, workload, task)
    if config.is_encoder_decoder:
        yield from _source(config, workload)
        yield from _target(config, workload)
    else:
        yield from _too_long(text, workload, workload.sequence_length, "/workload/sequence_length")


def _source(config: PreTrainedConfig, workload: Workload) -> Iterator[FieldProblem]:
    encoder = config.get_text_config(encoder=True)
    length, pointer = workload.sequence_length, "/workload/sequence_length"
    yield from _over(encoder, length, pointer, position_limit(encoder, "encoder"))


def _target(config: PreTrainedConfig, workload: Workload) -> Iterator[FieldProblem]:
    if not config.is_encoder_decoder:
        return
    decoder = config.get_text_config(decoder=True)
    if workload.mode == "generation":
        length, pointer = 1 + (workload.new_tokens or 0), "/workload/new_tokens"
    elif workload.target_length is not None:
        length, pointer = workload.target_length, "/workload/target_length"
    else:
        length, pointer = workload.sequence_length, "/workload/sequence_length"
    yield from _over(decoder, length, pointer, position_limit(decoder, "decoder"))


def _too_long(
    config: PreTrainedConfig, workload: Workload, length: int, pointer: str
) -> Iterator[FieldProblem]:
    limit = position_limit(config)
    if workload.new_tokens is not None:
        total = length + workload.new_tokens
        yield from _over(config, total, pointer, limit, " with the new tokens")
    else:
        yield from _over(config, length, pointer, limit)


def _over(
    config: PreTrainedConfig,
    length: int,
    pointer: str,
    limit: tuple[str, int] | None,
    what: str = "",
) -> Iterator[FieldProblem]:
    if limit is not None and length > limit[1]:
        yield FieldProblem(
            pointer,
            f"{length} tokens{what} are more than the model's {limit[1]} positions"
            f" ({limit[0]} {getattr(config, limit[0])})",
            f"use at most {limit[1]}, or raise {limit[0]} in /model/config",
        )


def position_limit(config: PreTrainedConfig, side: str = "") -> tuple[str, int] | None:
    """The field that bounds the sequence and the longest sequence it allows; None without bound."""
    if config.model_type in _UNBOUNDED or vars(config).get("position_biased_input") is False:
        return None
    for name in (*_SIDES.get(side, ()), *_NAMES):
        own = field_name(config, name)
        value = vars(config).get(own)
        if isinstance(value, int) and value > 0:
            return own, value - _reserved(config)
    return None


def _reserved(config: PreTrainedConfig) -> int:
    absolute = getattr(config, "position_embedding_type", "absolute") == "absolute"
    if config.model_type in _AFTER_PADDING or (config.model_type == "esm" and absolute):
        return (config.pad_token_id or 0) + 1
    return 0
