"""Where a model description comes from: a file, a folder, standard input, or the options alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from app.cli.errors import usage_error

# Endings of `architectures` in a `config.json`, as the library names its classes. A conditional
# generation class serves several tasks: what else the configuration holds tells which.
_TASK_BY_ENDING = {
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "ForMaskedLM": "fill-mask",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMultipleChoice": "multiple-choice",
    "ForImageClassification": "image-classification",
    "ForSemanticSegmentation": "image-segmentation",
    "ForUniversalSegmentation": "image-segmentation",
    "ForObjectDetection": "object-detection",
    "ForCTC": "automatic-speech-recognition",
    "ForSpeechSeq2Seq": "automatic-speech-recognition",
    "ForAudioClassification": "audio-classification",
}


def read_document(source: str) -> dict[str, Any]:
    """The JSON object in a file, in a folder's `config.json`, or on standard input (`-`).

    Raises:
        CliError: there is no such file, or it holds no JSON object.
    """
    text = sys.stdin.read() if source == "-" else _read_file(Path(source))
    where = "standard input" if source == "-" else source
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise usage_error(f"{where} is no valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise usage_error(f"{where} holds no JSON object but {type(document).__name__}")
    return document


def _read_file(path: Path) -> str:
    file = path / "config.json" if path.is_dir() else path
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        hint = "; a hub is never asked: save the model's config.json and give its path"
        raise usage_error(f"there is no {file}{hint if '/' in str(path) else ''}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise usage_error(f"{file} cannot be read: {error}") from None


def is_request(document: dict[str, Any]) -> bool:
    """Whether the document is a whole request (as POSTed) rather than a model's configuration."""
    return isinstance(document.get("model"), dict) and "model_type" not in document


def guess_task(config: dict[str, Any]) -> str | None:
    """The task that the configuration's own `architectures` was saved for, if that is clear."""
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or not architectures:
        return None
    name = str(architectures[0])
    if name.endswith("ForConditionalGeneration"):
        if "vision_config" in config:
            return "image-text-to-text"
        return (
            "automatic-speech-recognition" if "num_mel_bins" in config else "text2text-generation"
        )
    return next((task for end, task in _TASK_BY_ENDING.items() if name.endswith(end)), None)


def assign(config: dict[str, Any], assignment: str) -> None:
    """Carry out `--set name=value`: the value is JSON, else a string; dots reach into sections.

    Raises:
        CliError: there is no `=`, or the path passes through something that is no object.
    """
    path, separator, text = assignment.partition("=")
    if not separator or not path:
        raise usage_error(f"--set {assignment}: write it as NAME=VALUE, such as n_layer=6")
    *sections, name = path.split(".")
    target: Any = config
    for section in sections:
        target = target.setdefault(section, {})
        if not isinstance(target, dict):
            raise usage_error(f"--set {assignment}: {section} is no section of the configuration")
    target[name] = parse_value(text)


def parse_value(text: str) -> Any:
    """`"6"` -> 6, `"true"` -> True, `"gelu"` -> "gelu"."""
    try:
        return json.loads(text)
    except ValueError:
        return text
