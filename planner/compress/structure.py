"""Where a model's heads and feed-forward nodes are: which rows and columns of which matrices go
together.

Known by the names that transformers' models give their layers, and by the classes of architecture
networks. What is not known is not guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from planner.compress.linear_layers import linear_layers
from planner.models.architecture.heads import LinearQKV, MultiHeadAttention


@dataclass(frozen=True)
class Cut:
    """One side of a matrix that shrinks with the units.

    Attributes:
        layer: path of the linear layer.
        side: `out`, rows of an `nn.Linear`; `in`, its columns.
        width: consecutive features of one unit.
        sections: parts of the side that have the units one after the other each (fused Q, K, V).
    """

    layer: str
    side: str
    width: int
    sections: int = 1


@dataclass(frozen=True)
class Structure:
    """Units of one module that can be taken out: heads (in groups of those that share keys and
    values), or nodes.

    Attributes:
        output: path of the layer that reads what the units make.
        count: how many there are.
        queries: query heads of a unit of heads; 1 for nodes.
    """

    path: str
    part: str
    count: int
    cuts: tuple[Cut, ...]
    output: str
    queries: int = 1

    @property
    def output_width(self) -> int:
        """Inputs of the output layer that belong to one unit."""
        return next(cut.width for cut in self.cuts if cut.layer == self.output)


# Layers that make the nodes, and the one that reads them: Llama and those alike, gated
# architecture networks; ungated ones; GPT-2; OPT, BART, Whisper, Phi; BERT.
_NODES = (
    (("gate_proj", "up_proj"), "down_proj"),
    (("up_proj",), "down_proj"),
    (("c_fc",), "c_proj"),
    (("fc1",), "fc2"),
    (("intermediate.dense",), "output.dense"),
)


def structures(model: nn.Module, parts: list[str]) -> list[Structure]:
    """Heads and nodes of the model, as far as they are known, in the model's order."""
    layers = set(linear_layers(model))
    found = []
    for path, module in model.named_modules():
        each = [_heads(path, module, layers)] if "heads" in parts else []
        each += [_nodes(path, module, layers)] if "feed_forward" in parts else []
        found += [structure for structure in each if structure is not None]
    return found


def _nodes(path: str, module: nn.Module, layers: set[str]) -> Structure | None:
    for inner, outer in _NODES:
        makes = [_join(path, name) for name in inner]
        reads = _join(path, outer)
        if not layers.issuperset([*makes, reads]):
            continue
        count = _features(module.get_submodule(outer))[0]
        if any(_features(module.get_submodule(name))[1] != count for name in inner):
            continue
        cuts = [Cut(name, "out", 1) for name in makes]
        return Structure(path, "feed_forward", count, (*cuts, Cut(reads, "in", 1)), reads)
    return None


def _heads(path: str, module: nn.Module, layers: set[str]) -> Structure | None:
    if isinstance(module, MultiHeadAttention):
        return _architecture_heads(path, module, layers)
    width = getattr(module, "head_dim", None)
    if isinstance(width, int):
        for output in ("o_proj", "out_proj"):
            names = ["q_proj", "k_proj", "v_proj", output]
            if layers.issuperset(_join(path, name) for name in names):
                return _separate(path, module, names, width) if _is_plain(module, names) else None
        if layers.issuperset([_join(path, "c_attn"), _join(path, "c_proj")]):
            return _fused(path, module, width)
    return _bert_heads(path, module, layers)


def _is_plain(module: nn.Module, names: list[str]) -> bool:
    """Whether nothing else in an attention depends on how many heads there are.

    Norms of a single head (Qwen3) do not; those of all heads together (OLMo 2), sinks and biases a
    head do.
    """
    width: Any = module.head_dim
    own = list(module.parameters(recurse=False))
    others = [child for name, child in module.named_children() if name not in names]
    own += [parameter for child in others for parameter in child.parameters()]
    return all(parameter.numel() == width for parameter in own)


def _separate(path: str, module: nn.Module, names: list[str], width: int) -> Structure | None:
    q, k, v, o = (_join(path, name) for name in names)
    queries = _features(module.get_submodule(names[0]))[1] // width
    groups = _features(module.get_submodule(names[1]))[1] // width
    return _groups(path, (q, k, v, o), queries, groups, width)


def _groups(
    path: str, layers: tuple[str, str, str, str], queries: int, groups: int, width: int
) -> Structure:
    q, k, v, o = layers
    share = queries // groups
    wide = share * width
    cuts = (Cut(q, "out", wide), Cut(k, "out", width), Cut(v, "out", width), Cut(o, "in", wide))
    return Structure(path, "heads", groups, cuts, o, share)


def _fused(path: str, module: nn.Module, width: int) -> Structure | None:
    inner, outer = _join(path, "c_attn"), _join(path, "c_proj")
    total = _features(module.get_submodule("c_proj"))[0]
    if _features(module.get_submodule("c_attn"))[1] != 3 * total:
        return None  # cross-attention makes its queries elsewhere
    cuts = (Cut(inner, "out", width, sections=3), Cut(outer, "in", width))
    return Structure(path, "heads", total // width, cuts, outer)


def _bert_heads(path: str, module: nn.Module, layers: set[str]) -> Structure | None:
    names = [_join(path, f"self.{name}") for name in ("query", "key", "value")]
    output = _join(path, "output.dense")
    if not layers.issuperset([*names, output]):
        return None
    width = getattr(module.get_submodule("self"), "attention_head_size", None)
    inner = module.get_submodule("self")
    if not isinstance(width, int) or list(inner.parameters(recurse=False)):
        return None
    count = _features(inner.get_submodule("query"))[1] // width
    q, k, v = names
    return _groups(path, (q, k, v, output), count, count, width)


def _architecture_heads(
    path: str, module: MultiHeadAttention, layers: set[str]
) -> Structure | None:
    """Of mixers without parameters for each head, on projections that are whole matrices."""
    names = ["qkv.q_proj", "qkv.k_proj", "qkv.v_proj", "out_proj"]
    own = [*module.mixer.parameters(), *module.mixer.buffers()]
    if own or not isinstance(module.qkv, LinearQKV):
        return None
    if not layers.issuperset(_join(path, name) for name in names):
        return None
    return _separate(path, module, names, module.head_dim)


def _features(layer: nn.Module) -> tuple[int, int]:
    """in, out of a linear layer."""
    weight: Any = layer.weight
    first, second = weight.shape
    return (second, first) if isinstance(layer, nn.Linear) else (first, second)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def modules_of(model: nn.Module, structure: Structure) -> Iterator[nn.Module]:
    """The modules whose attributes say how many units there are."""
    module = model.get_submodule(structure.path)
    yield module
    inner = getattr(module, "self", None)
    if isinstance(inner, nn.Module):
        yield inner
