"""The workloads of `cuda_suite.py`: models of published sizes, as people train and serve them.

Each is a body of `POST /v1/simulations`. Configurations are those of the models' own
`config.json`, as far as they decide shapes; nothing is downloaded. Except where it says otherwise
a case fits a card of 80 GB.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_GIB = 2**30

Body = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One workload.

    Attributes:
        body: of the request; the suite names the device.
        minimum_bytes: it is not tried on devices with less memory.
        overflows_80gb: meant to run out of memory on a card of 80 GB.
    """

    body: Body
    minimum_bytes: int = 0
    overflows_80gb: bool = False


def _case(
    config: Body,
    task: str = "text-generation",
    *,
    strategy: Body | None = None,
    minimum_bytes: int = 0,
    overflows_80gb: bool = False,
    **rest: Any,
) -> Case:
    """A case; keywords that describe the model go there, all others to the workload."""
    described = {key: rest.pop(key) for key in ("attention", "experts", "lora") if key in rest}
    body: Body = {
        "model": {"source": "transformers", "task": task, "config": config, **described},
        "workload": rest,
        "strategy": strategy or {},
    }
    return Case(body, minimum_bytes, overflows_80gb)


_CHECKPOINTED: Body = {"checkpointing": "full"}
_MLM = "fill-mask"
_SEQ = "text2text-generation"
_IMG = "image-classification"
_ASR = "automatic-speech-recognition"

# Decoders.
_GPT2 = {"model_type": "gpt2"}
_GPT2_MEDIUM = {**_GPT2, "n_embd": 1024, "n_layer": 24, "n_head": 16}
_GPT2_LARGE = {**_GPT2, "n_embd": 1280, "n_layer": 36, "n_head": 20}
_GPT2_XL = {**_GPT2, "n_embd": 1600, "n_layer": 48, "n_head": 25}
_OPT_125M = {"model_type": "opt"}
_OPT_1_3B = {
    "model_type": "opt", "hidden_size": 2048, "ffn_dim": 8192, "num_hidden_layers": 24,
    "num_attention_heads": 32, "word_embed_proj_dim": 2048,
}  # fmt: skip
_PYTHIA_410M = {
    "model_type": "gpt_neox", "hidden_size": 1024, "intermediate_size": 4096,
    "num_hidden_layers": 24, "num_attention_heads": 16, "vocab_size": 50304,
}  # fmt: skip
_PYTHIA_1B = {
    **_PYTHIA_410M, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
    "num_attention_heads": 8,
}  # fmt: skip
_BLOOM_560M = {"model_type": "bloom", "hidden_size": 1024, "n_layer": 24, "n_head": 16}
_LLAMA_1B = {
    "model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "head_dim": 64,
    "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8,
    "vocab_size": 128256, "max_position_embeddings": 131072, "tie_word_embeddings": True,
}  # fmt: skip
_LLAMA_8B = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "vocab_size": 128256, "max_position_embeddings": 8192,
}  # fmt: skip
_QWEN3_600M = {
    "model_type": "qwen3", "hidden_size": 1024, "intermediate_size": 3072, "head_dim": 128,
    "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8,
    "vocab_size": 151936, "tie_word_embeddings": True,
}  # fmt: skip
_QWEN3_1_7B = {**_QWEN3_600M, "hidden_size": 2048, "intermediate_size": 6144}
_GEMMA2_2B = {
    "model_type": "gemma2", "hidden_size": 2304, "intermediate_size": 9216,
    "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
    "vocab_size": 256000,
}  # fmt: skip
_MISTRAL_7B = {
    "model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "vocab_size": 32768, "sliding_window": None, "max_position_embeddings": 32768,
}  # fmt: skip
_PHI3_MINI = {
    "model_type": "phi3", "hidden_size": 3072, "intermediate_size": 8192,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
    "vocab_size": 32064, "pad_token_id": 0,
}  # fmt: skip
_MIXTRAL_SMALL = {  # Mixtral's shape, 0.8 B: no published one is so small
    "model_type": "mixtral", "hidden_size": 1024, "intermediate_size": 3584,
    "num_hidden_layers": 8, "num_attention_heads": 16, "num_key_value_heads": 4,
    "num_local_experts": 8, "num_experts_per_tok": 2, "vocab_size": 32000,
}  # fmt: skip
_OLMOE_1B_7B = {
    "model_type": "olmoe", "hidden_size": 2048, "intermediate_size": 1024,
    "num_hidden_layers": 16, "num_attention_heads": 16, "num_key_value_heads": 16,
    "num_experts": 64, "num_experts_per_tok": 8, "vocab_size": 50304,
}  # fmt: skip
_MAMBA_130M = {
    "model_type": "mamba", "hidden_size": 768, "num_hidden_layers": 24, "vocab_size": 50280,
}  # fmt: skip
_REFORMER_ENWIK8 = {
    "model_type": "reformer", "hidden_size": 1024, "num_attention_heads": 8,
    "attention_head_size": 128, "feed_forward_size": 4096, "vocab_size": 258,
    "attn_layers": ["local", "local", "lsh", "local"] * 3, "axial_pos_shape": [64, 64],
    "axial_pos_embds_dim": [256, 768], "max_position_embeddings": 4096, "num_buckets": 128,
    "is_decoder": True,
}  # fmt: skip

# Encoders.
_BERT = {"model_type": "bert"}
_LARGE = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
    "num_attention_heads": 16,
}  # fmt: skip
_BERT_LARGE = {**_BERT, **_LARGE}
_ROBERTA = {"model_type": "roberta", "vocab_size": 50265, "max_position_embeddings": 514}
_DEBERTA_V3 = {
    "model_type": "deberta-v2", "hidden_size": 768, "intermediate_size": 3072,
    "num_hidden_layers": 12, "num_attention_heads": 12, "vocab_size": 128100,
    "relative_attention": True, "position_buckets": 256, "norm_rel_ebd": "layer_norm",
    "share_att_key": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False,
    "max_relative_positions": -1, "type_vocab_size": 0,
}  # fmt: skip
_ELECTRA = {
    "model_type": "electra", "embedding_size": 768, "hidden_size": 768,
    "intermediate_size": 3072, "num_attention_heads": 12,
}  # fmt: skip
_ALBERT_BASE = {
    "model_type": "albert", "hidden_size": 768, "intermediate_size": 3072,
    "num_attention_heads": 12,
}  # fmt: skip

_NYSTROMFORMER_4096 = {  # with as many landmarks as segments it would attend to everything
    "model_type": "nystromformer", "max_position_embeddings": 4096, "segment_means_seq_len": 4096,
}  # fmt: skip

# Encoder-decoders and other inputs than text.
_BART_BASE = {
    "model_type": "bart", "d_model": 768, "encoder_layers": 6, "decoder_layers": 6,
    "encoder_ffn_dim": 3072, "decoder_ffn_dim": 3072, "encoder_attention_heads": 12,
    "decoder_attention_heads": 12,
}  # fmt: skip
_T5_BASE = {
    "model_type": "t5", "d_model": 768, "d_ff": 3072, "num_layers": 12, "num_heads": 12,
}  # fmt: skip
_VIT = {"model_type": "vit"}
_VIT_LARGE = {**_VIT, **_LARGE}
_SWIN_BASE = {
    "model_type": "swin", "embed_dim": 128, "depths": [2, 2, 18, 2],
    "num_heads": [4, 8, 16, 32],
}  # fmt: skip
_CONVNEXT_BASE = {
    "model_type": "convnext", "depths": [3, 3, 27, 3], "hidden_sizes": [128, 256, 512, 1024],
}  # fmt: skip
_SEGFORMER_B2 = {
    "model_type": "segformer", "depths": [3, 4, 6, 3], "hidden_sizes": [64, 128, 320, 512],
    "decoder_hidden_size": 768,
}  # fmt: skip
_WHISPER_SMALL = {
    "model_type": "whisper", "d_model": 768, "encoder_layers": 12, "decoder_layers": 12,
    "encoder_attention_heads": 12, "decoder_attention_heads": 12, "encoder_ffn_dim": 3072,
    "decoder_ffn_dim": 3072, "vocab_size": 51865,
}  # fmt: skip


def _text(batch_size: int, sequence_length: int, precision: str = "fp32") -> Body:
    return {
        "batch_size": batch_size, "sequence_length": sequence_length, "precision": precision
    }  # fmt: skip


_SGD: Body = {"name": "sgd", "momentum": 0.9}
_ADAFACTOR: Body = {"name": "adafactor"}
_INFER: Body = {"mode": "inference"}


def _generate(new_tokens: int) -> Body:
    return {"mode": "generation", "new_tokens": new_tokens}


CASES: dict[str, Case] = {
    "gpt2 fp32": _case(_GPT2, **_text(8, 1024)),
    "gpt2 fp32 eager": _case(_GPT2, attention="eager", **_text(8, 1024)),
    "gpt2 amp-fp16": _case(_GPT2, **_text(16, 1024, "amp-fp16")),
    "gpt2 amp-bf16 fused": _case(
        _GPT2, optimizer={"name": "adamw", "fused": True}, **_text(16, 1024, "amp-bf16")
    ),
    "gpt2 amp-bf16 for-loop": _case(
        _GPT2, optimizer={"name": "adamw", "foreach": False}, **_text(8, 512, "amp-bf16")
    ),
    "gpt2-medium sgd momentum": _case(_GPT2_MEDIUM, optimizer=_SGD, **_text(4, 1024)),
    "gpt2-medium amp-bf16 checkpointed": _case(
        _GPT2_MEDIUM, strategy=_CHECKPOINTED, **_text(16, 1024, "amp-bf16")
    ),
    "gpt2-large adafactor": _case(_GPT2_LARGE, optimizer=_ADAFACTOR, **_text(4, 1024)),
    "gpt2-xl bf16 checkpointed": _case(
        _GPT2_XL, strategy=_CHECKPOINTED, **_text(8, 1024, "bf16")
    ),
    "gpt2-xl fp16 generation": _case(_GPT2_XL, **_text(8, 512, "fp16"), **_generate(32)),
    "opt-125m amp-bf16": _case(_OPT_125M, **_text(16, 1024, "amp-bf16")),
    "opt-1.3b fp32": _case(_OPT_1_3B, **_text(4, 1024)),
    "opt-1.3b amp-bf16 8bit states": _case(
        _OPT_1_3B, strategy={"optimizer_states": "8bit"}, **_text(4, 1024, "amp-bf16")
    ),
    "pythia-410m amp-bf16": _case(_PYTHIA_410M, **_text(8, 2048, "amp-bf16")),
    "pythia-1b fp32 sgd momentum": _case(_PYTHIA_1B, optimizer=_SGD, **_text(4, 1024)),
    "pythia-1b bf16 checkpointed": _case(
        _PYTHIA_1B, strategy=_CHECKPOINTED, **_text(8, 2048, "bf16")
    ),
    "bloom-560m amp-bf16": _case(_BLOOM_560M, **_text(4, 1024, "amp-bf16")),
    "llama-3.2-1b fp32 eager": _case(_LLAMA_1B, attention="eager", **_text(2, 1024)),
    "llama-3.2-1b bf16": _case(_LLAMA_1B, **_text(4, 2048, "bf16")),
    "llama-3.2-1b amp-bf16 checkpointed": _case(
        _LLAMA_1B, strategy=_CHECKPOINTED, **_text(4, 2048, "amp-bf16")
    ),
    "llama-3.2-1b bf16 chunked loss": _case(
        _LLAMA_1B, strategy={"loss_chunks": 8}, **_text(4, 2048, "bf16")
    ),
    "llama-3.2-1b bf16 generation": _case(
        _LLAMA_1B, **_text(16, 1024, "bf16"), **_generate(32)
    ),
    "llama-3.2-1b bf16 static cache": _case(
        _LLAMA_1B, cache="static", **_text(16, 1024, "bf16"), **_generate(32)
    ),
    "llama-3-8b bf16 inference": _case(_LLAMA_8B, **_text(2, 4096, "bf16"), **_INFER),
    "llama-3-8b bf16 generation": _case(_LLAMA_8B, **_text(8, 1024, "bf16"), **_generate(32)),
    "llama-3-8b bf16 lora checkpointed": _case(
        _LLAMA_8B, lora={"r": 16}, strategy=_CHECKPOINTED, **_text(4, 2048, "bf16")
    ),
    "llama-3-8b bf16 adafactor checkpointed": _case(
        _LLAMA_8B, optimizer=_ADAFACTOR, strategy=_CHECKPOINTED, **_text(1, 2048, "bf16")
    ),
    "llama-3-8b bf16 adamw checkpointed": _case(
        _LLAMA_8B, strategy=_CHECKPOINTED, minimum_bytes=130 * _GIB, **_text(2, 2048, "bf16")
    ),
    "qwen3-0.6b amp-bf16": _case(_QWEN3_600M, **_text(4, 1024, "amp-bf16")),
    "qwen3-0.6b accumulate 4": _case(
        _QWEN3_600M, gradient_accumulation_steps=4, **_text(2, 1024)
    ),
    "qwen3-1.7b bf16 checkpointed": _case(
        _QWEN3_1_7B, strategy=_CHECKPOINTED, **_text(4, 2048, "bf16")
    ),
    "gemma2-2b bf16 checkpointed": _case(
        _GEMMA2_2B, strategy=_CHECKPOINTED, **_text(2, 2048, "bf16")
    ),
    "mistral-7b fp16 inference": _case(_MISTRAL_7B, **_text(4, 4096, "fp16"), **_INFER),
    "mistral-7b bf16 lora": _case(
        _MISTRAL_7B, lora={"r": 8, "dropout": 0.1}, **_text(1, 2048, "bf16")
    ),
    "phi3-mini bf16 lora checkpointed": _case(
        _PHI3_MINI, lora={"r": 16, "target_modules": "all-linear"}, strategy=_CHECKPOINTED,
        **_text(4, 2048, "bf16"),
    ),
    "mixtral-small bf16": _case(_MIXTRAL_SMALL, **_text(4, 1024, "bf16")),
    "mixtral-small eager experts": _case(
        _MIXTRAL_SMALL, experts="eager", **_text(4, 1024)
    ),
    "olmoe-1b-7b bf16 inference": _case(_OLMOE_1B_7B, **_text(4, 1024, "bf16"), **_INFER),
    "mamba-130m fp32": _case(_MAMBA_130M, **_text(2, 256)),
    "reformer-enwik8 fp32": _case(_REFORMER_ENWIK8, **_text(1, 4096)),
    "bert-base fp32": _case(_BERT, _MLM, **_text(32, 512)),
    "bert-base fp32 eager": _case(_BERT, _MLM, attention="eager", **_text(16, 512)),
    "bert-base fp16 inference": _case(
        _BERT, "feature-extraction", **_text(128, 512, "fp16"), **_INFER
    ),
    "bert-large amp-bf16": _case(_BERT_LARGE, _MLM, **_text(32, 512, "amp-bf16")),
    "bert-large amp-fp16 checkpointed": _case(
        _BERT_LARGE, "question-answering", strategy=_CHECKPOINTED, **_text(32, 384, "amp-fp16")
    ),
    "roberta-base amp-bf16": _case(
        _ROBERTA, "text-classification", **_text(32, 512, "amp-bf16")
    ),
    "deberta-v3-base fp32": _case(_DEBERTA_V3, "text-classification", **_text(8, 512)),
    "deberta-v3-base amp-bf16": _case(
        _DEBERTA_V3, "token-classification", **_text(16, 512, "amp-bf16")
    ),
    "distilbert fp32": _case({"model_type": "distilbert"}, _MLM, **_text(32, 512)),
    "electra-base fp32": _case(_ELECTRA, "token-classification", **_text(32, 512)),
    "albert-base fp32": _case(_ALBERT_BASE, _MLM, **_text(32, 512)),
    "mobilebert fp32": _case({"model_type": "mobilebert"}, _MLM, **_text(32, 512)),
    "fnet-base fp32": _case({"model_type": "fnet"}, _MLM, **_text(32, 512)),
    "nystromformer-4096 fp32": _case(_NYSTROMFORMER_4096, _MLM, **_text(4, 4096)),
    "bigbird-base fp32": _case({"model_type": "big_bird"}, _MLM, **_text(2, 4096)),
    "longformer-base amp-bf16": _case(
        {"model_type": "longformer", "attention_window": 512, "max_position_embeddings": 4098},
        _MLM, **_text(2, 4096, "amp-bf16"),
    ),
    "bart-base fp32": _case(_BART_BASE, _SEQ, target_length=128, **_text(16, 512)),
    "bart-large amp-bf16": _case(
        {"model_type": "bart"}, _SEQ, target_length=128, **_text(16, 1024, "amp-bf16")
    ),
    "t5-base fp32": _case(_T5_BASE, _SEQ, target_length=128, **_text(16, 512)),
    "t5-base bf16 checkpointed": _case(
        _T5_BASE, _SEQ, target_length=256, strategy=_CHECKPOINTED, **_text(32, 512, "bf16")
    ),
    "t5-base bf16 generation": _case(
        _T5_BASE, _SEQ, **_text(32, 512, "bf16"), **_generate(32)
    ),
    "vit-base amp-bf16": _case(_VIT, _IMG, batch_size=128, precision="amp-bf16"),
    "vit-large fp32 checkpointed": _case(_VIT_LARGE, _IMG, batch_size=64, strategy=_CHECKPOINTED),
    "swin-tiny fp32": _case({"model_type": "swin"}, _IMG, batch_size=64),
    "swin-base amp-fp16": _case(_SWIN_BASE, _IMG, batch_size=64, precision="amp-fp16"),
    "convnext-tiny fp32": _case({"model_type": "convnext"}, _IMG, batch_size=64),
    "convnext-base amp-bf16": _case(_CONVNEXT_BASE, _IMG, batch_size=64, precision="amp-bf16"),
    "segformer-b2 fp32": _case(_SEGFORMER_B2, "image-segmentation", batch_size=8, image_size=512),
    "resnet50 fp32 sgd momentum": _case(
        {"model_type": "resnet"}, _IMG, batch_size=128, optimizer=_SGD
    ),
    "resnet50 amp-fp16": _case(
        {"model_type": "resnet"}, _IMG, batch_size=256, precision="amp-fp16", optimizer=_SGD
    ),
    "whisper-small fp32": _case(_WHISPER_SMALL, _ASR, batch_size=8, target_length=448),
    "whisper-small fp16 generation": _case(
        _WHISPER_SMALL, _ASR, batch_size=16, precision="fp16", **_generate(32)
    ),
    "wav2vec2-base fp32": _case(
        {"model_type": "wav2vec2"}, _ASR, batch_size=8, sequence_length=160_000, target_length=128
    ),
    "overflow: llama-3-8b fp32 adamw": _case(
        _LLAMA_8B, overflows_80gb=True, strategy=_CHECKPOINTED, **_text(1, 1024)
    ),
    "overflow: gpt2-xl fp32 eager": _case(
        _GPT2_XL, overflows_80gb=True, attention="eager", **_text(16, 1024)
    ),
    "overflow: bert-large fp32": _case(
        _BERT_LARGE, _MLM, overflows_80gb=True, **_text(256, 512)
    ),
}  # fmt: skip


def in_rounds(cases: Mapping[str, Case]) -> dict[str, Case]:
    """The same, the first case of each family before the second of any."""
    seen: Counter[str] = Counter()
    rounds = {}
    for name, case in cases.items():
        family = case.body["model"]["config"]["model_type"]
        rounds[name] = seen[family]
        seen[family] += 1
    return {name: cases[name] for name in sorted(cases, key=rounds.__getitem__)}
