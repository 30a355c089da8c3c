"""Structural pruning: heads and feed-forward nodes taken out of the matrices that make and read
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from planner.compress.linear_layers import as_linear, matching
from planner.compress.numerical import compensated, newton_scores
from planner.compress.structure import Cut, Structure, modules_of, structures
from planner.compression import StructuralPruning
from planner.errors import InvalidRequest

Calibration = Iterable[Mapping[str, Any]]
"""Keyword arguments of the model, a batch each."""


def prune_structures(
    model: nn.Module, choice: StructuralPruning, calibration: Calibration | None, pointer: str
) -> None:
    """Take a share of the heads and nodes out of the model, in place.

    Numerical scores without calibration take the inputs as white (X^T X = I), and there is nothing
    to compensate then.

    Raises:
        InvalidRequest: the model's structure is not known, or what the choice needs is not there.
    """
    found = _chosen(model, choice, pointer)
    if choice.allocation == "global" and any(
        isinstance(each, FakeTensor) for each in model.parameters()
    ):
        raise InvalidRequest.at(
            f"{pointer}/allocation",
            "how many units each layer keeps follows from the weights' numbers",
            'use "uniform", or planner.compress on real weights',
        )
    grams = {} if calibration is None else input_grams(model, found, calibration)
    with torch.no_grad():
        scores = [_scores(model, each, choice, grams.get(each.output)) for each in found]
        for structure, kept in zip(found, _kept(model, found, scores, choice), strict=True):
            _take_out(model, structure, kept, choice, grams.get(structure.output))
    _tell_config(model, found)


def _chosen(model: nn.Module, choice: StructuralPruning, pointer: str) -> list[Structure]:
    found = structures(model, list(choice.parts))
    for index, part in enumerate(choice.parts):
        if not any(structure.part == part for structure in found):
            raise InvalidRequest.at(
                f"{pointer}/parts/{index}",
                f"which layers make up the {part} of {type(model).__name__} is not known",
                "leave it out; Llama, GPT-2, OPT, BERT and models alike are known, and attention "
                "of architectures whose mixers have no numbers of their own",
            )
    if choice.modules is None:
        return found
    paths = [structure.path for structure in found]
    named = set(matching(paths, choice.modules, pointer, "attention or feed-forward"))
    return [structure for structure in found if structure.path in named]


def _scores(
    model: nn.Module, structure: Structure, choice: StructuralPruning, gram: Tensor | None
) -> Tensor:
    """[units]: of the inputs of the layer that reads the units, averaged for each unit."""
    weight = _weight(model, structure.output).T.float()
    if choice.score == "magnitude":
        inputs: Tensor = torch.linalg.vector_norm(weight, dim=1)
    else:
        if gram is None:
            gram = torch.eye(len(weight), dtype=weight.dtype).to(weight.device)
        inputs = newton_scores(weight, gram, _share(len(weight), choice.ratio))
    return inputs.view(structure.count, -1).mean(1)


def _share(count: int, ratio: float) -> int:
    """What stays of so many: never nothing."""
    return max(count - round(ratio * count), 1)


def _kept(
    model: nn.Module, found: list[Structure], scores: list[Tensor], choice: StructuralPruning
) -> list[Tensor]:
    """Numbers of the units that stay in each structure, ascending."""
    if choice.allocation == "global":
        return _above_threshold(model, found, scores, choice.ratio)
    return [score.topk(_share(len(score), choice.ratio)).indices.sort().values for score in scores]


def _above_threshold(
    model: nn.Module, found: list[Structure], scores: list[Tensor], ratio: float
) -> list[Tensor]:
    """One threshold for all, so that the share of the parameters goes; a unit of each stays.

    A head weighs what its parameters are to a node's: the paper's alpha = 4 D_h / 3 for Llama.
    """
    sizes = torch.cat(
        [
            torch.full((len(score),), float(_unit_parameters(model, structure)))
            for structure, score in zip(found, scores, strict=True)
        ]
    )
    order = torch.cat(scores).cpu().argsort()
    gone = sizes[order].cumsum(0) <= ratio * sizes.sum()
    stays = torch.ones(len(order), dtype=torch.bool)
    stays[order[gone]] = False
    kept = []
    parts = torch.split(stays, [len(score) for score in scores])
    for score, mine in zip(scores, parts, strict=True):
        mine[score.argmax()] = True
        kept.append(mine.nonzero().squeeze(1).to(score.device))
    return kept


def _unit_parameters(model: nn.Module, structure: Structure) -> int:
    return sum(
        cut.width * cut.sections * _weight(model, cut.layer).shape[1 if cut.side == "out" else 0]
        for cut in structure.cuts
    )


def _take_out(
    model: nn.Module,
    structure: Structure,
    kept: Tensor,
    choice: StructuralPruning,
    gram: Tensor | None,
) -> None:
    if choice.score == "numerical" and gram is not None:
        _compensate(model, structure, kept, gram)
    for cut in structure.cuts:
        _slice(model.get_submodule(cut.layer), cut, kept, structure.count)
    for module in modules_of(model, structure):
        _tell(module, structure, len(kept))


def _compensate(model: nn.Module, structure: Structure, kept: Tensor, gram: Tensor) -> None:
    weight = _weight(model, structure.output)
    stays = torch.zeros(structure.count, structure.output_width, dtype=torch.bool)
    stays[kept.cpu()] = True
    pruned = (~stays.view(-1)).nonzero().squeeze(1).to(weight.device)
    weight.copy_(compensated(weight.T.float(), gram, pruned).T)


def _slice(layer: nn.Module, cut: Cut, kept: Tensor, count: int) -> None:
    """Leave the units that stay in one side of the layer's matrix, and of its bias."""
    within = torch.arange(cut.width, device=kept.device)
    starts = torch.arange(cut.sections, device=kept.device) * (count * cut.width)
    features = (starts[:, None, None] + kept[:, None] * cut.width + within).view(-1)
    is_out = cut.side == "out"
    rows = is_out == isinstance(layer, nn.Linear)  # a Conv1D's matrix is transposed
    weight: Any = layer.weight
    layer.weight = _parameter(weight, weight.index_select(0 if rows else 1, features))
    bias: Any = layer.bias
    if is_out and bias is not None:
        layer.bias = _parameter(bias, bias.index_select(0, features))
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = layer.weight.shape
    elif is_out:
        setattr(layer, "nf", len(features))  # noqa: B010  (what a Conv1D calls out_features)


def _parameter(old: nn.Parameter, numbers: Tensor) -> nn.Parameter:
    return nn.Parameter(numbers, requires_grad=old.requires_grad)


_QUERY_HEADS = ("num_heads", "num_attention_heads", "n_head")
_KEY_HEADS = ("num_key_value_heads", "num_kv_heads")


def _tell(module: nn.Module, structure: Structure, kept: int) -> None:
    """Attributes of transformers' attentions that say how many heads there are."""
    if structure.part != "heads":
        return
    share = kept * structure.queries
    values: dict[str, int] = dict.fromkeys(_QUERY_HEADS, share) | dict.fromkeys(_KEY_HEADS, kept)
    width = structure.output_width // structure.queries
    values |= dict.fromkeys(("split_size", "all_head_size"), share * width)
    for name, value in values.items():
        if isinstance(getattr(module, name, None), int):
            setattr(module, name, value)


def _tell_config(model: nn.Module, found: list[Structure]) -> None:
    """Let the configuration say what a uniform model has, so that caches are made for it."""
    config = getattr(model, "config", None)
    get = getattr(config, "get_text_config", None)
    config = config if get is None else get()
    heads = [
        _weight(model, structure.output).shape[1] // (structure.output_width // structure.queries)
        for structure in found
        if structure.part == "heads"
    ]
    if config is None or not heads or len(set(heads)) > 1:
        return
    structure = next(structure for structure in found if structure.part == "heads")
    config.head_dim = structure.output_width // structure.queries
    config.num_attention_heads = heads[0]
    if getattr(config, "num_key_value_heads", None) is not None:
        config.num_key_value_heads = heads[0] // structure.queries


def input_grams(
    model: nn.Module, found: list[Structure], calibration: Calibration
) -> dict[str, Tensor]:
    """X^T X [D, D] in fp32 of the inputs of each structure's output layer, by its path.

    All layers' are alive together: the sum of D^2 x 4 bytes.
    """
    grams: dict[str, Tensor] = {}

    def note(path: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].reshape(-1, inputs[0].shape[-1]).float()
        grams[path] = torch.addmm(grams[path], x.T, x) if path in grams else x.T @ x

    training = model.training
    model.eval()
    with ExitStack() as stack, torch.no_grad():
        for structure in found:
            layer = model.get_submodule(structure.output)
            handle = layer.register_forward_pre_hook(partial(note, structure.output))
            stack.callback(handle.remove)
        for batch in calibration:
            model(**batch)
    model.train(training)
    return grams


def _weight(model: nn.Module, path: str) -> Tensor:
    """A layer's weight as [out, in]."""
    return as_linear(model.get_submodule(path)).weight.detach()
