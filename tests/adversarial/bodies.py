"""Bodies that a hostile client might send, and how each is answered: as data, checked elsewhere."""

from __future__ import annotations

import gzip
import json
from typing import Any, NamedTuple


class Raw(NamedTuple):
    """A body that is no document of ours, with the status and type of the answer."""

    body: bytes
    status: int
    type: str
    headers: dict[str, str] | None = None


class Refused(NamedTuple):
    """A description that is refused before anything is stored, at this pointer."""

    body: dict[str, Any]
    pointer: str


MALFORMED = "malformed-json"
SOME_MODEL = b'"model": {"source": "preset", "name": "x"}'

RAW = {
    "deep arrays": Raw(b"[" * 100_000, 400, MALFORMED),
    "deep objects": Raw(b'{"a":' * 100_000, 400, MALFORMED),
    "closed deep arrays": Raw(b"[" * 100_000 + b"]" * 100_000, 400, MALFORMED),
    "an integer of 400 digits": Raw(b'{"model": ' + b"1" * 400 + b"}", 422, "invalid-request"),
    "an integer of a million digits": Raw(b'{"model": ' + b"1" * 10**6 + b"}", 400, MALFORMED),
    "an exponent of 100000 digits": Raw(
        b'{"model": 1e' + b"9" * 10**5 + b"}", 422, "invalid-request"
    ),
    "1e999": Raw(b'{"workload": {"batch_size": 1e999}}', 422, "invalid-request"),
    "NaN": Raw(b'{"model": NaN}', 400, MALFORMED),
    "Infinity": Raw(b'{"model": -Infinity}', 400, MALFORMED),
    "a lone surrogate": Raw(b'{"model": "\\ud800"}', 400, MALFORMED),
    "NUL": Raw(b'{"model": "a\\u0000b"}', 400, MALFORMED),
    "bytes that are no UTF-8": Raw(b'{"model": "\xff"}', 400, MALFORMED),
    "UTF-16": Raw("{}".encode("utf-16"), 400, MALFORMED),
    "nothing": Raw(b"", 422, "invalid-request"),
    "null": Raw(b"null", 422, "invalid-request"),
    "an array": Raw(b"[]", 422, "invalid-request"),
    "more than fits": Raw(b" " * 1_100_000, 413, "body-too-large"),
    "a bomb": Raw(
        gzip.compress(b" " * 10**7), 415, "unsupported-media-type", {"Content-Encoding": "gzip"}
    ),
    "XML": Raw(
        b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        *(415, "unsupported-media-type"),
        {"Content-Type": "application/xml"},
    ),
    "60000 unknown fields": Raw(
        json.dumps({f"k{number}": 1 for number in range(60_000)}).encode(), 422, "invalid-request"
    ),
    "40000 errors": Raw(
        b"{"
        + SOME_MODEL
        + b', "strategy": {"units": ['
        + b",".join([b'{"modulo": 1, "actiom": 2}'] * 10_000)
        + b"]}}",
        *(422, "invalid-request"),
    ),
    "a long name": Raw(
        b"{" + SOME_MODEL + b', "strategy": {"' + b"x" * 10**6 + b'": 1}}', 422, "invalid-request"
    ),
}


def transformers(
    task: str = "text-generation", workload: dict[str, Any] | None = None, **config: Any
) -> dict[str, Any]:
    """A small workload of a configuration."""
    return {
        "model": {"source": "transformers", "task": task, "config": config},
        "workload": workload or {"sequence_length": 8},
    }


def gpt2(**config: Any) -> dict[str, Any]:
    return transformers(model_type="gpt2", **{"n_layer": 1, **config})


def layers(*nodes: dict[str, Any], shape: list[Any] | None = None) -> dict[str, Any]:
    """A graph whose output is its last node."""
    return {
        "model": {
            "source": "layers",
            "inputs": {"x": {"shape": shape or [8]}},
            "nodes": list(nodes),
            "outputs": [nodes[-1]["name"]],
        }
    }


def node(name: str, op: str, source: str = "x", **args: Any) -> dict[str, Any]:
    return {"name": name, "op": op, "args": args, "inputs": [source]}


def linear(name: str, source: str = "x", size: int = 8) -> dict[str, Any]:
    return node(name, "Linear", source, in_features=8, out_features=size)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


CONFIG = "/model/config"
DETR: dict[str, Any] = {"task": "object-detection", "model_type": "detr"}
LLAVA: dict[str, Any] = {"task": "image-text-to-text", "model_type": "llava"}

# Fields of a configuration that would load code, weights or files: refused wherever they stand.
LOADING: dict[str, Any] = {
    "auto_map": {"AutoModel": "evil--repo.Model"},
    "trust_remote_code": True,
    "custom_pipelines": {"a": {"impl": "evil.Pipeline"}},
    "custom_generate": "someone/somewhere",
    "quantization_config": {"quant_method": "gptq"},
    "use_pretrained_backbone": True,
    "use_timm_backbone": True,
    "backbone": "resnet50",
    "attn_implementation": "kernels-community/flash-attn",
    "_attn_implementation": "kernels-community/flash-attn",
    "experts_implementation": "kernels-community/experts",
    "_adapter_model_path": "../../etc",
    "torch_dtype": "os.system",
    "dtype": ["float32"],
}
# What a configuration class has besides fields, and what none has.
NO_FIELDS = (
    *("__class__", "__dict__", "__init__", "__post_init__", "to_dict", "from_pretrained"),
    *("attribute_map", "sub_configs", "base_model_tp_plan", "auto_class", "push_to_hub"),
    *("../../etc/passwd", "a\nERROR forged", "\u202en_layer", "n\u200b_layer"),
)

REFUSED: dict[str, Refused] = {
    **{
        f"{name} {where}": Refused(body, pointer)
        for name, value in LOADING.items()
        for where, body, pointer in (
            ("at the top", gpt2(**{name: value}), f"{CONFIG}/{name}"),
            (
                "nested",
                transformers(**LLAVA, text_config={"model_type": "llama", name: value}),
                f"{CONFIG}/text_config/{name}",
            ),
        )
    },
    **{
        f"field {name!r}": Refused(gpt2(**{name: 1}), f"{CONFIG}/{name.replace('/', '~1')}")
        for name in NO_FIELDS
    },
    # names that are paths or modules
    "model type as a path": Refused(
        transformers(model_type="../../etc/passwd"), f"{CONFIG}/model_type"
    ),
    "model type as a URL": Refused(
        transformers(model_type="file:///etc/passwd"), f"{CONFIG}/model_type"
    ),
    "model type as a module": Refused(transformers(model_type="os"), f"{CONFIG}/model_type"),
    "model type of timm": Refused(
        transformers("image-classification", model_type="timm_wrapper", architecture="resnet50"),
        f"{CONFIG}/model_type",
    ),
    "nested model type of timm": Refused(
        transformers(**DETR, backbone_config={"model_type": "timm_backbone"}),
        f"{CONFIG}/backbone_config/model_type",
    ),
    "unknown nested model type": Refused(
        transformers(**LLAVA, text_config={"model_type": "../../x"}),
        f"{CONFIG}/text_config/model_type",
    ),
    "nested configuration by name": Refused(
        transformers(**LLAVA, text_config="meta-llama/Llama-2-7b"), f"{CONFIG}/text_config"
    ),
    "preset as a path": Refused(
        {"model": {"source": "preset", "name": "../../etc/passwd"}}, "/model/name"
    ),
    "device as headers": Refused({**gpt2(), "device": "cpu\r\nX-Evil: 1"}, "/device"),
    "device reversed": Refused({**gpt2(), "device": "\u202eupc\u200b"}, "/device"),
    "optimizer as a builtin": Refused(
        {**gpt2(), "workload": {"optimizer": {"name": "__builtins__"}}}, "/workload/optimizer/name"
    ),
    "optimizer's parameters": Refused(
        {**gpt2(), "workload": {"optimizer": {"name": "adamw", "params": [1]}}},
        "/workload/optimizer/params",
    ),
    # sizes
    "2^63 samples": Refused({**gpt2(), "workload": {"batch_size": 2**63}}, "/workload/batch_size"),
    "-1 samples": Refused({**gpt2(), "workload": {"batch_size": -1}}, "/workload/batch_size"),
    "half a sample": Refused({**gpt2(), "workload": {"batch_size": 0.5}}, "/workload/batch_size"),
    "width 0": Refused(gpt2(n_embd=0), f"{CONFIG}/n_embd"),
    "width -8": Refused(gpt2(n_embd=-8), f"{CONFIG}/n_embd"),
    "width 2^52": Refused(gpt2(n_embd=2**52), f"{CONFIG}/n_embd"),
    "width 10^400": Refused(gpt2(n_embd=10**400), CONFIG),
    "width as a float": Refused(gpt2(n_embd=64.0), f"{CONFIG}/n_embd"),
    "width as a list of 10000": Refused(gpt2(n_embd=[1] * 10_000), f"{CONFIG}/n_embd"),
    "no heads": Refused(gpt2(n_head=0), f"{CONFIG}/n_head"),
    "10^5 layers": Refused(gpt2(n_layer=10**5), f"{CONFIG}/n_layer"),
    "layers as true": Refused(gpt2(n_layer=True), f"{CONFIG}/n_layer"),
    "a vocabulary of 10^12": Refused(gpt2(vocab_size=10**12), f"{CONFIG}/vocab_size"),
    "10^6 labels": Refused(
        transformers("text-classification", model_type="bert", num_labels=10**6),
        f"{CONFIG}/num_labels",
    ),
    "images of 10^6 pixels a side": Refused(
        transformers("image-classification", model_type="vit", image_size=10**6),
        f"{CONFIG}/image_size",
    ),
    "2^21 experts": Refused(
        transformers(model_type="mixtral", num_local_experts=2**21), f"{CONFIG}/num_local_experts"
    ),
    "a configuration 150 deep": Refused(gpt2(id2label=nested(150)), CONFIG),
    "a configuration of 30000 values": Refused(gpt2(layer_types=["a"] * 30_000), CONFIG),
    "a string of 10^5": Refused(gpt2(prefix="x" * 10**5), CONFIG),
    # patterns
    "a regular expression": Refused(
        {**gpt2(), "model": {**gpt2()["model"], "lora": {"target_modules": ["(a+)+$"]}}},
        "/model/lora/target_modules/0",
    ),
    "a pattern with brackets": Refused(
        {**gpt2(), "model": {**gpt2()["model"], "freeze": ["(.*)*\n"]}}, "/model/freeze/0"
    ),
    "20000 units": Refused(
        {**gpt2(), "strategy": {"units": [{"module": "a", "action": "recompute"}] * 20_000}},
        "/strategy/units",
    ),
    # graphs of layers
    "a node of itself": Refused(layers(linear("a", "a")), "/model/nodes/0/inputs"),
    "a cycle of 3000": Refused(
        layers(*(linear(f"n{i}", f"n{(i - 1) % 3000}") for i in range(3000))),
        "/model/nodes/0/inputs",
    ),
    "5000 of nothing": Refused(
        layers(*({"name": f"n{i}", "reuse": "none", "inputs": ["x"]} for i in range(5000))),
        "/model/nodes/0/reuse",
    ),
    "an op that loads": Refused(layers(node("a", "torch.load")), "/model/nodes/0/op"),
    "an op of Python": Refused(layers(node("a", "__import__")), "/model/nodes/0/op"),
    "a name of Python": Refused(layers(linear("a.__dict__")), "/model/nodes/0/name"),
    "a module's own name": Refused(layers(linear("forward")), "/model/nodes/0/name"),
    "a node as a path": Refused(layers(linear("../a")), "/model/nodes/0/name"),
    "a device among arguments": Refused(
        layers(node("a", "Linear", in_features=8, out_features=8, device="cuda")),
        "/model/nodes/0/args/device",
    ),
    "a layer of 2^62 weights": Refused(
        layers(node("a", "Linear", in_features=2**31, out_features=2**31)), "/model/nodes/0/args"
    ),
    "padding of 10^12": Refused(
        layers(node("a", "ConstantPad1d", padding=10**12, value=0)), "/model/nodes/0/args"
    ),
    "a graph that grows by 64 a node": Refused(
        layers(
            *(
                {
                    "name": f"n{i}",
                    "op": "cat",
                    "args": {"dim": 1},
                    "inputs": [f"n{i - 1}" if i else "x"] * 64,
                }
                for i in range(12)
            )
        ),
        "/model/nodes/9",
    ),
    "2^31 recurrent layers": Refused(
        layers(node("a", "LSTM", input_size=8, hidden_size=8, num_layers=2**31), shape=[8, 8]),
        "/model/nodes",
    ),
}
