"""The ops that a graph may name, each with its arguments and how many tensors it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Annotated, Any, Literal

from annotated_types import Le
from torch import Tensor, nn

from planner.models.layers.arguments import Argument, arguments_of
from planner.models.layers.functions import FUNCTIONS, Learned
from planner.models.state_space.mamba import Mamba, TriOrientedMamba

MAX_RECURRENT_LAYERS = 64
UNBOUNDED = 64  # as many inputs as a node may have


@dataclass(frozen=True)
class Op:
    """A module's class, or a function.

    Attributes:
        call: what makes the module, or the function itself.
        arguments: of the constructor or the function, and of the module's forward.
        forward: names of those arguments that the module's forward takes.
        fixed: constructor arguments that are not the user's to choose.
        recurrent: whether it walks along dimension 1, whose length its shapes follow.
        weight: of one layer of it, see `weight_of`.
    """

    name: str
    call: Callable[..., Any]
    arguments: dict[str, Argument]
    min_inputs: int = 1
    max_inputs: int = 1
    forward: frozenset[str] = frozenset()
    fixed: dict[str, Any] = field(default_factory=dict)
    recurrent: bool = False
    weight: int = 1

    def weight_of(self, args: dict[str, Any]) -> int:
        """About how many plain layers it is worth, in the time that it takes to look at it."""
        if not self.recurrent:
            return self.weight
        layers, both_ways = args.get("num_layers", 1), args.get("bidirectional") is True
        return self.weight * (layers if isinstance(layers, int) else 1) * (1 + both_ways)

    @property
    def is_module(self) -> bool:
        """Whether it has a module, and with it a path in the model."""
        return isinstance(self.call, type)

    def make(self, args: dict[str, Any]) -> Callable[..., Any]:
        """What computes it, on tensors by position: a new module, or the function.

        Args:
            args: as `Argument.parsed` returns them.
        """
        if not self.is_module:
            return partial(self.call, **args)
        own = {name: value for name, value in args.items() if name not in self.forward}
        module: nn.Module = self.call(**own, **self.fixed)
        return module

    def keywords(self, args: dict[str, Any]) -> dict[str, Any]:
        """Keywords of the module's forward."""
        return {name: value for name, value in args.items() if name in self.forward}

    def described(self) -> dict[str, Any]:
        """For `GET /v1/models`, JSON-ready."""
        most = None if self.max_inputs == UNBOUNDED else self.max_inputs
        return {
            "name": self.name,
            "kind": "module" if self.is_module else "function",
            "inputs": {"min": self.min_inputs, "max": most},
            "arguments": {name: each.described() for name, each in self.arguments.items()},
        }


_DIMENSIONAL = """Conv ConvTranspose BatchNorm InstanceNorm MaxPool AvgPool AdaptiveAvgPool
    AdaptiveMaxPool LPPool Dropout ConstantPad ZeroPad ReflectionPad ReplicationPad
    CircularPad""".split()  # noqa: SIM905
_PLAIN = """Linear Identity Embedding LayerNorm GroupNorm RMSNorm LocalResponseNorm ReLU ReLU6
    LeakyReLU PReLU ELU SELU CELU GELU SiLU Mish GLU Sigmoid LogSigmoid Tanh Softplus Softsign
    Softmin Softmax LogSoftmax Softmax2d Softshrink Hardshrink Tanhshrink Hardtanh Hardswish
    Hardsigmoid Threshold Dropout AlphaDropout FeatureAlphaDropout Flatten Unflatten Upsample
    PixelShuffle PixelUnshuffle ChannelShuffle Fold Unfold""".split()  # noqa: SIM905

# Results that no graph here can use, sparse gradients, and sums over the batch of nothing.
_WITHOUT = frozenset({"return_indices", "sparse", "max_norm", "norm_type", "scale_grad_by_freq"})
_HINTS: dict[str, Any] = {
    "activation": Literal["relu", "gelu"],
    "nonlinearity": Literal["tanh", "relu"],
    "kdim": int | None,
    "vdim": int | None,
    "embed_dim": int,
    "num_heads": int,
    "input_size": int,
    "hidden_size": int,
    "num_layers": Annotated[int, Le(MAX_RECURRENT_LAYERS)],
    "unflattened_size": list[int],
}
_MAMBA_WEIGHT = 12  # up to three scans, whose steps a look at shapes leaves out
_FORWARD_FLAGS = ("need_weights", "average_attn_weights")


def _module(name: str, *, inputs: tuple[int, int] = (1, 1), **options: Any) -> Op:
    cls = getattr(nn, name)
    without = _WITHOUT - ({"norm_type"} if name.startswith("LPPool") else frozenset())
    without |= frozenset(options.get("fixed", ()))
    arguments = arguments_of(cls.__init__, _HINTS, without)
    if name == "Identity":
        arguments = {}
    return Op(name, cls, arguments, *inputs, **options)


def _recurrent(name: str) -> Op:
    # The classes take `*args`; what they are is in their base's constructor.
    arguments = arguments_of(nn.RNNBase.__init__, _HINTS, frozenset({"mode", "batch_first"}))
    if name != "LSTM":
        del arguments["proj_size"]
    if name == "RNN":
        arguments["nonlinearity"] = Argument(_HINTS["nonlinearity"], "tanh")
    fixed = {"batch_first": True}
    return Op(name, getattr(nn, name), arguments, fixed=fixed, recurrent=True, weight=4)


def _attention() -> Op:
    op = _module("MultiheadAttention", inputs=(3, 3), fixed={"batch_first": True})
    flags = arguments_of(nn.MultiheadAttention.forward, {})
    chosen = {name: flags[name] for name in _FORWARD_FLAGS}
    return replace(
        op, arguments={**op.arguments, **chosen}, forward=frozenset(_FORWARD_FLAGS), weight=4
    )


def _function(name: str, function: Callable[..., Any]) -> Op:
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    tensors = [each for each in parameters if each.kind is not inspect.Parameter.KEYWORD_ONLY]
    least = sum(each.default is inspect.Parameter.empty for each in tensors)
    variadic = any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in tensors)
    names = frozenset(each.name for each in tensors)
    arguments = arguments_of(function, {}, names)
    return Op(name, function, arguments, least, UNBOUNDED if variadic else len(tensors))


@lru_cache
def ops() -> dict[str, Op]:
    """Every op by name."""
    modules = [f"{name}{n}d" for name in _DIMENSIONAL for n in (1, 2, 3)]
    table = [_module(name) for name in sorted({*modules, *_PLAIN})]
    table.append(_module("Bilinear", inputs=(2, 2)))
    table.append(_attention())
    first = {"batch_first": True}
    table.append(_module("TransformerEncoderLayer", fixed=first, weight=12))
    table.append(_module("TransformerDecoderLayer", inputs=(2, 2), fixed=first, weight=20))
    table += [_recurrent(name) for name in ("RNN", "LSTM", "GRU")]
    table.append(Op("Parameter", Learned, arguments_of(Learned.__init__, {}), 0, 0))
    for mamba in (Mamba, TriOrientedMamba):
        table.append(
            Op(mamba.__name__, mamba, arguments_of(mamba.__init__, {}), weight=_MAMBA_WEIGHT)
        )
    table += [_function(name, function) for name, function in FUNCTIONS.items()]
    return {op.name: op for op in table}


def tensors_of(result: Any) -> list[Tensor | None]:
    """The outputs of an op in order: nested tuples, as of an LSTM, are flattened."""
    if isinstance(result, (tuple, list)):
        return [tensor for each in result for tensor in tensors_of(each)]
    return [result]
