"""An architecture's model and inputs for a workload, on fake or real tensors alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from planner.architecture import ArchitectureModel, PatchEmbedding
from planner.compress import compress_model
from planner.fine_tuning import Lora
from planner.models import initialization
from planner.models.architecture.build import build_network
from planner.models.build import freeze, move_stragglers, parameter_dtype
from planner.models.lora import add_lora
from planner.request import Workload
from planner.strategy import Strategy

_SEED = 0


def build_architecture(
    model: ArchitectureModel, workload: Workload, strategy: Strategy, device: str | torch.device
) -> nn.Module:
    """The network, ready for the workload's mode.

    Raises:
        InvalidRequest: a pattern of names, or a target of adapters, matches nothing.
    """
    fake = torch._guards.detect_fake_mode() is not None or torch.device(device).type == "meta"
    initialise = initialization.skipped() if fake else initialization.cheap()
    with initialise, torch.device(device), _default_dtype(parameter_dtype(workload.precision)):
        tokens, targets = model.tokens(workload.sequence_length), model.tokens(_targets(workload))
        network = build_network(model, tokens, targets)
    if torch.device(device).type != "cpu":
        move_stragglers(network, torch.device(device))
    compress_model(network, strategy.compression)
    training = workload.mode == "train"
    if training and strategy.checkpointing == "full":
        network.gradient_checkpointing_enable({"use_reentrant": False})
    adapted: nn.Module = network
    if model.lora is not None:
        with torch.device(device):
            adapted = add_lora(network, _with_targets(model.lora, network), fake=fake)
    freeze(adapted, model.freeze, model.train)
    return adapted.train(training)


def _with_targets(lora: Lora, network: nn.Module) -> Lora:
    """`peft` knows the modules of the library's models alone. For others: what the paper adapts
    (section 4.2), and of "all-linear" all but the head, as `peft` understands it.
    """
    if lora.target_modules is None:
        return lora.model_copy(update={"target_modules": ["q_proj", "v_proj"]})
    if lora.target_modules != "all-linear":
        return lora
    names = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    targets = [name for name in names if not name.startswith(("lm_head", "classifier"))]
    return lora.model_copy(update={"target_modules": targets})


def _targets(workload: Workload) -> int:
    """Tokens of an encoder-decoder's labels."""
    return workload.target_length or workload.sequence_length


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    original = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(original)


def architecture_inputs(
    model: ArchitectureModel, workload: Workload, device: str | torch.device
) -> dict[str, Tensor]:
    """Token ids (int64, of the vocabulary) or pixels in the model's dtype; in training, labels."""
    generator = torch.Generator().manual_seed(_SEED)

    def integers(shape: tuple[int, ...], below: int) -> Tensor:
        return torch.randint(below, shape, generator=generator).to(device)

    batch, spec = workload.batch_size, model.embedding
    inputs: dict[str, Tensor] = {}
    if isinstance(spec, PatchEmbedding):
        shape = (batch, spec.num_channels, spec.image_size, spec.image_size)
        dtype = parameter_dtype(workload.precision)
        inputs["pixel_values"] = torch.randn(shape, dtype=dtype, device=device)
    else:
        inputs["input_ids"] = integers((batch, workload.sequence_length), spec.vocab_size)
        if model.decoder:
            name = "labels" if workload.mode == "train" else "decoder_input_ids"
            return {**inputs, name: integers((batch, _targets(workload)), spec.vocab_size)}
    if workload.mode != "train" or model.task == "feature-extraction":
        return inputs
    if model.task in ("text-generation", "fill-mask"):
        return {**inputs, "labels": inputs["input_ids"].clone()}
    each_token = model.task == "token-classification"
    tokens = (model.tokens(workload.sequence_length),) if each_token else ()
    return {**inputs, "labels": integers((batch, *tokens), model.num_labels)}
