"""Attention in windows of patches against the library's Swin."""

import pytest
import torch
from transformers import SwinConfig, SwinForImageClassification
from transformers.models.swin.modeling_swin import SwinLayer

from planner.architecture import ArchitectureModel
from planner.models.architecture.build import build_network
from planner.models.architecture.patch_windows import windows_of
from planner.presets import PRESETS

HIDDEN, HEADS, WINDOW = 24, 3, 4


def ours(shift):
    model = ArchitectureModel.model_validate(
        {
            "source": "architecture",
            "task": "image-classification",
            "pooling": "mean",
            "hidden_size": HIDDEN,
            "embedding": {"kind": "patches", "image_size": 8 * 4, "patch_size": 4},
            "blocks": [
                {
                    "attention": {
                        "kind": "image_window",
                        "num_heads": HEADS,
                        "window": WINDOW,
                        "shift": shift,
                    },
                    "feed_forward": {"kind": "dense"},
                }
            ],
        }
    )
    (block,) = build_network(model, 64).groups[0].blocks
    return block.double()


def copied(block, layer):
    """The library's layer with our block's numbers."""
    windows = block.attention.function.attention
    mine = {
        "layernorm_before": block.attention.norm,
        "layernorm_after": block.feed_forward.norm,
        "q": windows.qkv.q_proj,
        "k": windows.qkv.k_proj,
        "v": windows.qkv.v_proj,
        "out": windows.out_proj,
        "up": block.feed_forward.function.up_proj,
        "down": block.feed_forward.function.down_proj,
    }
    linear = [m for m in layer.modules() if isinstance(m, torch.nn.Linear)]
    theirs = dict(zip(("q", "k", "v", "out", "up", "down"), linear, strict=True))
    theirs |= {name: getattr(layer, name) for name in ("layernorm_before", "layernorm_after")}
    for name, module in theirs.items():
        module.load_state_dict(mine[name].state_dict())
    tables = [p for n, p in layer.named_parameters() if "relative_position_bias_table" in n]
    with torch.no_grad():
        tables[0].copy_(windows.mixer.biases)
    return layer


@pytest.mark.parametrize("shift", [0, 2])
def test_a_block_is_that_of_swin(shift):
    torch.manual_seed(0)
    config = SwinConfig(window_size=WINDOW, attn_implementation="eager", layer_norm_eps=1e-5)
    block = ours(shift)
    torch.nn.init.normal_(block.attention.function.attention.mixer.biases)
    layer = SwinLayer(config, HIDDEN, (8, 8), HEADS, shift_size=shift).double().eval()
    x = torch.randn(2, 64, HIDDEN, dtype=torch.float64)
    expected = copied(block, layer)(x, (8, 8))[0]
    torch.testing.assert_close(block(x), expected)


def test_windows_are_squares():
    image = torch.arange(2 * 4 * 6).view(2, 4, 6, 1)
    windows = windows_of(image, 2)
    assert windows.shape == (2 * 6, 4, 1)
    assert windows[1 * 6 + 1 * 3 + 2].flatten().tolist() == image[1, 2:4, 4:6].flatten().tolist()


def test_swin_has_the_librarys_parameters_without_the_norm_of_its_patches():
    model = PRESETS["swin"].description("paper")
    with torch.device("meta"):
        network = build_network(model, 0)
        library = SwinForImageClassification(SwinConfig(num_labels=1_000))
    count = [sum(p.numel() for p in module.parameters()) for module in (network, library)]
    assert count[0] == count[1] - 2 * 96
