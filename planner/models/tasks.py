"""For each task, the library's mappings from `model_type` to class, and what its labels are."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_AUTO = "transformers.models.auto.modeling_auto"


@dataclass(frozen=True)
class TaskSpec:
    """How the library serves a task.

    Attributes:
        heads: `AutoModelForX` class and its table of names, in order of preference.
        labels: kind of labels that training takes; see `planner.models.inputs`.
        summary: one line for `GET /v1/models`.
    """

    heads: tuple[tuple[str, str], ...]
    labels: str
    summary: str


def _head(auto: str, mapping: str) -> tuple[str, str]:
    return (f"AutoModel{auto}", f"MODEL_{mapping}MAPPING_NAMES")


TASKS: dict[str, TaskSpec] = {
    "text-generation": TaskSpec(
        (_head("ForCausalLM", "FOR_CAUSAL_LM_"),), "tokens", "predict each next token"
    ),
    "fill-mask": TaskSpec(
        (_head("ForMaskedLM", "FOR_MASKED_LM_"),), "tokens", "predict masked tokens"
    ),
    "text-classification": TaskSpec(
        (_head("ForSequenceClassification", "FOR_SEQUENCE_CLASSIFICATION_"),),
        "class",
        "one label for a text",
    ),
    "token-classification": TaskSpec(
        (_head("ForTokenClassification", "FOR_TOKEN_CLASSIFICATION_"),),
        "token-class",
        "one label for each token",
    ),
    "question-answering": TaskSpec(
        (_head("ForQuestionAnswering", "FOR_QUESTION_ANSWERING_"),),
        "span",
        "start and end of the answer in a text",
    ),
    "multiple-choice": TaskSpec(
        (_head("ForMultipleChoice", "FOR_MULTIPLE_CHOICE_"),),
        "class",
        "the right one of four texts",
    ),
    "text2text-generation": TaskSpec(
        (_head("ForSeq2SeqLM", "FOR_SEQ_TO_SEQ_CAUSAL_LM_"),),
        "target",
        "one text from another, by an encoder and a decoder",
    ),
    "image-classification": TaskSpec(
        (_head("ForImageClassification", "FOR_IMAGE_CLASSIFICATION_"),),
        "class",
        "one label for an image",
    ),
    "image-segmentation": TaskSpec(
        (
            _head("ForSemanticSegmentation", "FOR_SEMANTIC_SEGMENTATION_"),
            _head("ForUniversalSegmentation", "FOR_UNIVERSAL_SEGMENTATION_"),
            _head("ForInstanceSegmentation", "FOR_INSTANCE_SEGMENTATION_"),
        ),
        "masks",
        "a label for each pixel, or a mask for each object",
    ),
    "object-detection": TaskSpec(
        (_head("ForObjectDetection", "FOR_OBJECT_DETECTION_"),),
        "boxes",
        "a box and a label for each object",
    ),
    "automatic-speech-recognition": TaskSpec(
        (
            _head("ForSpeechSeq2Seq", "FOR_SPEECH_SEQ_2_SEQ_"),
            _head("ForCTC", "FOR_CTC_"),
            _head("ForTDT", "FOR_TDT_"),
            _head("ForRNNT", "FOR_RNNT_"),
        ),
        "target",
        "text from speech",
    ),
    "audio-classification": TaskSpec(
        (_head("ForAudioClassification", "FOR_AUDIO_CLASSIFICATION_"),),
        "class",
        "one label for a sound",
    ),
    "image-text-to-text": TaskSpec(
        (_head("ForImageTextToText", "FOR_IMAGE_TEXT_TO_TEXT_"),),
        "tokens",
        "text from an image and a text",
    ),
    "feature-extraction": TaskSpec(
        (_head("", ""),), "none", "hidden states of the bare model; trained on their mean"
    ),
}


@lru_cache
def class_names(task: str) -> dict[str, tuple[str, str]]:
    """`model_type` -> (`AutoModelForX`, class name) for a task, as the installed library has it."""
    table: dict[str, tuple[str, str]] = {}
    for auto, mapping in TASKS[task].heads:
        names: dict[str, Any] = getattr(importlib.import_module(_AUTO), mapping)
        for model_type, name in names.items():
            first = name if isinstance(name, str) else name[0]
            table.setdefault(model_type, (auto, first))
    return table


@lru_cache
def tasks_of(model_type: str) -> tuple[str, ...]:
    """The tasks that a model type can be built for."""
    return tuple(task for task in TASKS if model_type in class_names(task))
