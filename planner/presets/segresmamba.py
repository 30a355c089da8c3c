"""SegResMamba (arXiv 2503.07766): segmentation of volumes by convolutions and state spaces.

The network is that of the paper's figure 1 and algorithm 1. What they leave open is as in the code
its authors released (badhandas/SegResMamba): padding, norms and activations around convolutions,
that the three scans of a ToM share their outer maps, and the decoder, which is MONAI's SegResNet.
That code itself leaves every state space out of its forward pass; this network has them.

Where the paper contradicts itself, sizes win: the decoder begins with the encoder's 384 channels,
not with the 768 of section 2.2. Its Dice loss is a cross-entropy here.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from planner.presets.layers import LayersPreset
from planner.presets.preset import Fields, Preset

_SLICES = 4  # of the third scan's order, at every level


def segresmamba(
    size: int, in_channels: int, classes: int, widths: tuple[int, ...], chunk_size: int
) -> Fields:
    """The graph for volumes of size^3 voxels, for training with a class for each voxel.

    Args:
        size: divisible by 2 for each level.
        widths: channels of each level, multiples of 8, the decoder's groups.
        chunk_size: of the scans.
    """
    graph = _Graph(chunk_size)
    x = graph.conv("stem", "volume", in_channels, widths[0], 7, stride=2, padding=3)
    skips, side = [], size // 2
    for level, width in enumerate(widths):
        if level:
            x = graph.down(f"down.{level - 1}", x, widths[level - 1], width)
            side //= 2
        x = graph.mixed_block(f"encoder.{level}", x, width, side)
        skips.append(graph.mlp(f"skips.{level}", x, width))
    x = skips.pop()
    for step, (width, narrower) in enumerate(pairwise(reversed(widths))):
        x = graph.up(f"decoder.{step}", x, skips.pop(), width, narrower)
    graph.node(
        "head", "ConvTranspose3d", x, in_channels=widths[0], out_channels=classes, kernel_size=2,
        stride=2,
    )  # fmt: skip
    return {
        "inputs": {"volume": {"shape": [in_channels, size, size, size]}},
        "nodes": graph.nodes,
        "outputs": ["head"],
        "loss": "cross_entropy",
    }


class _Graph:
    """Nodes in their order; each method returns the name of what it ends with."""

    def __init__(self, chunk_size: int) -> None:
        self.nodes: list[Fields] = []
        self._chunk_size = chunk_size

    def node(self, name: str, op: str, *inputs: str, **args: Any) -> str:
        """One node."""
        self.nodes.append({"name": name, "op": op, "inputs": list(inputs), "args": args})
        return name

    def conv(self, name: str, x: str, given: int, made: int, kernel: int, **args: Any) -> str:
        """A convolution."""
        return self.node(
            name, "Conv3d", x, in_channels=given, out_channels=made, kernel_size=kernel, **args
        )

    def down(self, name: str, x: str, width: int, wider: int) -> str:
        """Half as many voxels a side; the first convolution is the "additional" one of table 4."""
        x = self.node(f"{name}.norm", "InstanceNorm3d", x, num_features=width)
        x = self.conv(f"{name}.conv", x, width, width, 3, padding=1)
        x = self.node(f"{name}.norm2", "InstanceNorm3d", x, num_features=width)
        return self.conv(f"{name}.reduce", x, width, wider, 2, stride=2)

    def mixed_block(self, name: str, x: str, width: int, side: int) -> str:
        """Algorithm 1, the convolution Mamba mixed block."""
        inner = -(-side // 2)
        y = self._normed_conv(f"{name}.reduce", x, width, 5, stride=2, padding=2)
        y = self._normed_conv(f"{name}.conv", y, width, 3, padding=1)
        y = self.tom(f"{name}.inner", y, width, inner)
        y = self._normed_conv(f"{name}.conv2", y, width, 3, padding=1)
        y = self.node(
            f"{name}.expand.conv", "ConvTranspose3d", y, in_channels=width, out_channels=width,
            kernel_size=5, stride=2, padding=2, output_padding=1 - side % 2,
        )  # fmt: skip
        y = self._normed(f"{name}.expand", y, width)
        x = self.node(f"{name}.sum", "add", y, x)
        return self.tom(f"{name}.outer", x, width, side)

    def _normed_conv(self, name: str, x: str, width: int, kernel: int, **args: Any) -> str:
        x = self.conv(f"{name}.conv", x, width, width, kernel, **args)
        return self._normed(name, x, width)

    def _normed(self, name: str, x: str, width: int) -> str:
        x = self.node(f"{name}.norm", "InstanceNorm3d", x, num_features=width)
        return self.node(f"{name}.act", "ReLU", x)

    def tom(self, name: str, x: str, width: int, side: int) -> str:
        """Tri-orientated Mamba of a volume with as many voxels a side; an odd side is padded."""
        odd = side % 2
        if odd:
            x = self.node(f"{name}.pad", "pad", x, pad=[0, 1] * 3)
        x = self.node(f"{name}.tokens", "flatten", x, start_dim=2)
        x = self.node(f"{name}.rows", "transpose", x, dim0=1, dim1=2)
        x = self.node(f"{name}.norm", "LayerNorm", x, normalized_shape=width)
        x = self.node(
            f"{name}.mamba", "TriOrientedMamba", x, hidden_size=width, num_slices=_SLICES,
            chunk_size=self._chunk_size,
        )  # fmt: skip
        x = self.node(f"{name}.columns", "transpose", x, dim0=1, dim1=2)
        x = self.node(f"{name}.voxels", "unflatten", x, dim=2, sizes=[side + odd] * 3)
        for dim in (2, 3, 4) if odd else ():
            x = self.node(f"{name}.crop{dim}", "narrow", x, dim=dim, start=0, length=side)
        return x

    def mlp(self, name: str, x: str, width: int) -> str:
        """What the decoder sees of a level."""
        x = self.node(f"{name}.norm", "InstanceNorm3d", x, num_features=width)
        x = self.conv(f"{name}.fc1", x, width, 2 * width, 1)
        x = self.node(f"{name}.act", "GELU", x)
        return self.conv(f"{name}.fc2", x, 2 * width, width, 1)

    def up(self, name: str, x: str, skip: str, width: int, narrower: int) -> str:
        """Twice as many voxels a side, plus what the encoder had there; then a residual block."""
        x = self.conv(f"{name}.reduce", x, width, narrower, 1, bias=False)
        x = self.node(f"{name}.upsample", "Upsample", x, scale_factor=2, mode="trilinear")
        x = y = self.node(f"{name}.sum", "add", x, skip)
        for number in (1, 2):
            y = self.node(
                f"{name}.norm{number}", "GroupNorm", y, num_groups=8, num_channels=narrower
            )
            y = self.node(f"{name}.act{number}", "ReLU", y, inplace=True)
            y = self.conv(f"{name}.conv{number}", y, narrower, narrower, 3, padding=1, bias=False)
        return self.node(f"{name}.residual", "add", y, x)


SEGRESMAMBA_PRESETS: dict[str, Preset] = {
    "segresmamba": LayersPreset(
        "image-segmentation",
        "volumes by a U-net of convolutions and tri-orientated state spaces",
        "arXiv 2503.07766",
        "SegResMamba on BTCV: one channel, 128^3 voxels, 14 classes",
        segresmamba(128, 1, 14, (48, 96, 192, 384), 64),
        segresmamba(32, 1, 4, (16, 32), 16),
        {"small": {"batch_size": 2}},
    ),
}
