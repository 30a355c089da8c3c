"""Small networks that together use most ops, one for each kind of model."""

from __future__ import annotations

from typing import Any

Network = dict[str, Any]


def node(name: str, op: str, inputs: str | list[str], **args: Any) -> Network:
    taken = inputs if isinstance(inputs, list) else [inputs]
    return {"name": name, "op": op, "args": args, "inputs": taken}


def network(
    inputs: Network, nodes: list[Network], outputs: list[str] | None = None, loss: str = "mean"
) -> Network:
    return {
        "source": "layers",
        "inputs": inputs,
        "nodes": nodes,
        "outputs": outputs or [nodes[-1]["name"]],
        "loss": loss,
    }


IDS = {"ids": {"shape": [32], "dtype": "int", "high": 100}}
NETWORKS: dict[str, Network] = {}
NETWORKS["cnn"] = network(
    {"images": {"shape": [3, 64, 64]}},
    [
        node(
            "c1", "Conv2d", "images", in_channels=3, out_channels=16, kernel_size=3, padding="same"
        ),
        node("b", "BatchNorm2d", "c1", num_features=16),
        node("r", "ReLU", "b"),
        node("p", "MaxPool2d", "r", kernel_size=2),
        node("c2", "Conv2d", "p", in_channels=16, out_channels=32, kernel_size=3, groups=4),
        node("g", "GroupNorm", "c2", num_groups=4, num_channels=32),
        node("s", "SiLU", "g"),
        node("a", "AdaptiveAvgPool2d", "s", output_size=1),
        node("f", "flatten", "a", start_dim=1),
        node("d", "Dropout", "f", p=0.1),
        node("fc", "Linear", "d", in_features=32, out_features=10),
    ],
    loss="cross_entropy",
)
NETWORKS["mlp3d"] = network(
    {"x": {"shape": [1, 16, 16, 16]}},
    [
        node("c", "Conv3d", "x", in_channels=1, out_channels=8, kernel_size=3),
        node("i", "InstanceNorm3d", "c", num_features=8, affine=True),
        node("l", "LeakyReLU", "i"),
        node("u", "Upsample", "l", scale_factor=2, mode="trilinear"),
        node("c2", "Conv3d", "u", in_channels=8, out_channels=1, kernel_size=3),
    ],
    loss="mse",
)
NETWORKS["audio"] = network(
    {"x": {"shape": [1, 240]}},
    [
        node("c", "Conv1d", "x", in_channels=1, out_channels=32, kernel_size=10, stride=5),
        node("b", "BatchNorm1d", "c", num_features=32),
        node("g", "GELU", "b"),
        node("t", "transpose", "g", dim0=1, dim1=2),
        node("ln", "LayerNorm", "t", normalized_shape=32),
        node("lstm", "LSTM", "ln", input_size=32, hidden_size=24, num_layers=2, bidirectional=True),
        node("fc", "Linear", "lstm", in_features=48, out_features=5),
    ],
)
NETWORKS["gru"] = network(
    IDS,
    [
        node("e", "Embedding", "ids", num_embeddings=100, embedding_dim=32),
        node("gru", "GRU", "e", input_size=32, hidden_size=64),
        node("h", "permute", "gru:1", dims=[1, 0, 2]),
        node("f", "flatten", "h", start_dim=1),
        node("fc", "Linear", "f", in_features=64, out_features=4),
    ],
    loss="cross_entropy",
)
NETWORKS["rnn"] = network(
    IDS,
    [
        node("e", "Embedding", "ids", num_embeddings=100, embedding_dim=32),
        node("rnn", "RNN", "e", input_size=32, hidden_size=64, dropout=0.1, num_layers=2),
        node("fc", "Linear", "rnn", in_features=64, out_features=4),
    ],
)
NETWORKS["mha"] = network(
    IDS,
    [
        node("e", "Embedding", "ids", num_embeddings=100, embedding_dim=64),
        node(
            "a",
            "MultiheadAttention",
            ["e", "e", "e"],
            embed_dim=64,
            num_heads=4,
            need_weights=False,
        ),
        node("s", "add", ["e", "a"]),
        node("ln", "LayerNorm", "s", normalized_shape=[64]),
        node(
            "a2", "MultiheadAttention", ["ln", "ln", "ln"], embed_dim=64, num_heads=4, dropout=0.1
        ),
        node("m", "mean", "a2:1"),
        node("o", "add", ["a2", "m"]),
    ],
)
NETWORKS["encoder"] = network(
    IDS,
    [
        node("e", "Embedding", "ids", num_embeddings=100, embedding_dim=64),
        node("layers.0", "TransformerEncoderLayer", "e", d_model=64, nhead=4, dim_feedforward=128),
        node(
            "layers.1",
            "TransformerEncoderLayer",
            "layers.0",
            d_model=64,
            nhead=4,
            dim_feedforward=128,
            norm_first=True,
            activation="gelu",
            dropout=0.0,
        ),
        node(
            "dec",
            "TransformerDecoderLayer",
            ["e", "layers.1"],
            d_model=64,
            nhead=4,
            dim_feedforward=128,
        ),
        node("fc", "Linear", "dec", in_features=64, out_features=100),
        node("f", "flatten", "fc", start_dim=0, end_dim=1),
    ],
    loss="cross_entropy",
)


def block(i: int, x: str, d: int, h: int) -> list[Network]:
    p = f"blocks.{i}."
    return [
        node(p + "ln", "LayerNorm", x, normalized_shape=d),
        node(p + "qkv", "Linear", p + "ln", in_features=d, out_features=3 * d),
        node(p + "heads", "unflatten", p + "qkv", dim=2, sizes=[3, h, d // h]),
        node(p + "t", "permute", p + "heads", dims=[2, 0, 3, 1, 4]),
        node(p + "parts", "chunk", p + "t", chunks=3, dim=0),
        *[
            node(p + k, "squeeze", f"{p}parts:{j}", dim=0)
            for j, k in enumerate(["query", "key", "value"])
        ],
        node(
            p + "att",
            "scaled_dot_product_attention",
            [p + "query", p + "key", p + "value"],
            is_causal=True,
        ),
        node(p + "bt", "transpose", p + "att", dim0=1, dim1=2),
        node(p + "j", "flatten", p + "bt", start_dim=2),
        node(p + "o", "Linear", p + "j", in_features=d, out_features=d),
        node(p + "res", "add", [x, p + "o"]),
        node(p + "ln2", "RMSNorm", p + "res", normalized_shape=d),
        node(p + "up", "Linear", p + "ln2", in_features=d, out_features=4 * d),
        node(p + "act", "GELU", p + "up"),
        node(p + "down", "Linear", p + "act", in_features=4 * d, out_features=d),
        node(p + "out", "add", [p + "res", p + "down"]),
    ]


NETWORKS["gpt"] = network(
    {"ids": {"shape": ["sequence_length"], "dtype": "int", "high": 128}},
    [
        node("tok", "Embedding", "ids", num_embeddings=128, embedding_dim=64),
        node("pos", "Parameter", [], shape=[1, 48, 64]),
        node("e", "add", ["tok", "pos"]),
        *block(0, "e", 64, 4),
        *block(1, "blocks.0.out", 64, 4),
        node("norm", "LayerNorm", "blocks.1.out", normalized_shape=64),
        node("rows", "flatten", "norm", start_dim=0, end_dim=1),
        node("head", "Linear", "rows", in_features=64, out_features=128),
    ],
    loss="cross_entropy",
)
NETWORKS["vit"] = network(
    {"images": {"shape": [3, 32, 32]}},
    [
        node("patch", "Conv2d", "images", in_channels=3, out_channels=64, kernel_size=8, stride=8),
        node("seq", "flatten", "patch", start_dim=2),
        node("t", "transpose", "seq", dim0=1, dim1=2),
        node("cls", "Parameter", [], shape=[1, 1, 64]),
        node("cls_b", "expand", "cls", sizes=["batch", -1, -1]),
        node("x", "cat", ["cls_b", "t"], dim=1),
        node("enc.0", "TransformerEncoderLayer", "x", d_model=64, nhead=2, dim_feedforward=128),
        {"name": "again", "reuse": "enc.0", "inputs": ["enc.0"]},
        node("first", "select", "again", dim=1, index=0),
        node("head", "Linear", "first", in_features=64, out_features=10),
    ],
    loss="cross_entropy",
)
NETWORKS["functions"] = network(
    {"x": {"shape": [8, 16]}, "y": {"shape": [8, 16]}},
    [
        node("l", "Linear", "x", in_features=16, out_features=16),
        node("m", "mul", ["l", "y"]),
        node("d", "div", "m", other=2.0),
        node("sb", "sub", ["d", "x"]),
        node("pw", "pow", "sb", exponent=2.0),
        node("cl", "clamp", "pw", min=0.1, max=3.0),
        node("rs", "rsqrt", "cl"),
        node("ex", "exp", "rs"),
        node("st", "stack", ["ex", "y"], dim=1),
        node("rl", "roll", "st", shifts=[1], dims=[2]),
        node("pd", "pad", "rl", pad=[1, 1], mode="constant", value=0.5),
        node("nr", "narrow", "pd", dim=3, start=1, length=16),
        node("mm", "einsum", ["nr", "nr"], equation="bcij,bckj->bcik"),
        node("sf", "softmax", "mm", dim=-1),
        node("mt", "matmul", ["sf", "nr"]),
        node("cs", "cumsum", "mt", dim=2),
        node("sp", "split", "cs", split_size_or_sections=[3, 5], dim=2),
        node("ctg", "contiguous", "sp:1"),
        node("nm", "normalize", "ctg", dim=-1),
        node("rp", "repeat_interleave", "nm", repeats=2, dim=1),
        node("am", "amax", "rp", dim=[3], keepdim=True),
        node("mx", "maximum", ["am", "am"]),
        node("rs2", "reshape", "mx", shape=["batch", -1]),
        node("sn", "sin", "rs2"),
        node("cc", "cos", "sn"),
        node("ng", "neg", "cc"),
        node("ab", "abs", "ng"),
        node("sm", "sum", "ab", dim=1),
        node("us", "unsqueeze", "sm", dim=1),
        node("lg", "log", "us"),
        node("sq", "sqrt", "ab"),
        node("dt", "detach", "y"),
        node("mdt", "mean", "dt", dim=[1, 2]),
        node("fin", "add", ["lg", "sq"]),
        node("fin2", "add", ["fin", "u2"]),
        node("u2", "unsqueeze", "mdt", dim=1),
    ],
    outputs=["fin2"],
)
NETWORKS["images"] = network(
    {"x": {"shape": [16, 16, 16]}},
    [
        node("ps", "PixelShuffle", "x", upscale_factor=2),
        node(
            "c",
            "Conv2d",
            "ps",
            in_channels=4,
            out_channels=16,
            kernel_size=3,
            padding=1,
            padding_mode="reflect",
        ),
        node("lr", "LocalResponseNorm", "c", size=3),
        node("pu", "PixelUnshuffle", "lr", downscale_factor=2),
        node("cs", "ChannelShuffle", "pu", groups=4),
        node("pr", "PReLU", "cs", num_parameters=64),
        node("ap", "AvgPool2d", "pr", kernel_size=2),
        node("rp", "ReflectionPad2d", "ap", padding=1),
        node(
            "ct", "ConvTranspose2d", "rp", in_channels=64, out_channels=8, kernel_size=4, stride=2
        ),
        node("dp", "Dropout2d", "ct", p=0.2),
        node("gl", "GLU", "dp", dim=1),
        node("un", "Unfold", "gl", kernel_size=3),
        node("hs", "Hardswish", "un"),
        node("mi", "Mish", "hs"),
        node("lp", "Softplus", "mi"),
    ],
    loss="mse",
)
NETWORKS["norms"] = network(
    {"x": {"shape": [16, 20]}},
    [
        node("b", "BatchNorm1d", "x", num_features=16),
        node("i", "InstanceNorm1d", "b", num_features=16),
        node("r", "RMSNorm", "i", normalized_shape=20),
        node("l", "LogSoftmax", "r", dim=1),
        node("bl", "Bilinear", ["l", "r"], in1_features=20, in2_features=20, out_features=6),
        node("m", "AdaptiveMaxPool1d", "bl", output_size=3),
        node("e", "ELU", "m"),
        node("al", "AlphaDropout", "e", p=0.1),
    ],
    outputs=["al", "r"],
    loss="mse",
)
NETWORKS["volume"] = network(
    {"x": {"shape": [2, 6, 6, 4]}},
    [
        node("c", "Conv3d", "x", in_channels=2, out_channels=8, kernel_size=3, padding=1),
        node("t", "flatten", "c", start_dim=2),
        node("r", "transpose", "t", dim0=1, dim1=2),
        node("m", "TriOrientedMamba", "r", hidden_size=8, num_slices=4, chunk_size=16),
        node("b", "Mamba", "m", hidden_size=8, chunk_size=10, bidirectional=True, dt_rank=2),
        node("h", "Linear", "b", in_features=8, out_features=3),
        node("f", "flatten", "h", end_dim=1),
    ],
    loss="cross_entropy",
)
