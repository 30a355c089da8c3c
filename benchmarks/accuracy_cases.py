"""The workloads of `accuracy_cpu.py`: many families, tasks, modes and precisions, sized for a small
CPU.
"""

from __future__ import annotations

from typing import Any

Case = dict[str, Any]


def _case(
    model_type: str,
    task: str = "text-generation",
    *,
    config: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    checkpointing: str = "none",
    **workload: Any,
) -> Case:
    return {
        "model": {
            "source": "transformers",
            "task": task,
            "config": {"model_type": model_type, **(config or {})},
            **(model or {}),
        },
        "workload": {"batch_size": 2, "sequence_length": 128, **workload},
        "device": "cpu",
        "strategy": {"checkpointing": checkpointing},
    }


_LLAMA = {
    "hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 4,
    "num_attention_heads": 6, "num_key_value_heads": 2, "vocab_size": 8000,
}  # fmt: skip
_GPT2 = {"n_embd": 384, "n_layer": 4, "n_head": 6, "vocab_size": 10000}
_BERT = {
    "hidden_size": 384, "num_hidden_layers": 4, "num_attention_heads": 6,
    "intermediate_size": 1536, "vocab_size": 9000,
}  # fmt: skip
_T5 = {"d_model": 256, "d_kv": 64, "d_ff": 768, "num_layers": 3, "num_heads": 4, "vocab_size": 8000}
_BART = {
    "d_model": 256, "encoder_layers": 3, "decoder_layers": 3, "encoder_ffn_dim": 1024,
    "decoder_ffn_dim": 1024, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "vocab_size": 8000,
}  # fmt: skip
_VIT = {
    "hidden_size": 384, "num_hidden_layers": 4, "num_attention_heads": 6,
    "intermediate_size": 1536, "image_size": 224, "patch_size": 16,
}  # fmt: skip
_WHISPER = {
    "d_model": 256, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 1024, "decoder_ffn_dim": 1024,
    "vocab_size": 8000, "max_source_positions": 400,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
}  # fmt: skip
_MIXTRAL = {**_LLAMA, "num_local_experts": 4, "num_experts_per_tok": 2, "intermediate_size": 512}
_OLMOE = {
    "hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 3, "vocab_size": 8000,
    "num_attention_heads": 4, "num_key_value_heads": 4, "num_experts": 8, "num_experts_per_tok": 2,
}  # fmt: skip
_MAMBA = {"hidden_size": 256, "num_hidden_layers": 3, "vocab_size": 8000}
_REFORMER = {
    "hidden_size": 256, "num_attention_heads": 4, "attention_head_size": 64, "vocab_size": 4000,
    "attn_layers": ["local", "lsh", "local", "lsh"], "axial_pos_shape": [16, 32],
    "axial_pos_embds_dim": [64, 192], "feed_forward_size": 512, "is_decoder": True,
    "num_buckets": 16, "max_position_embeddings": 512,
}  # fmt: skip

_SEQ = "text2text-generation"
_IMG = "image-classification"
_MLM = "fill-mask"

CASES: dict[str, Case] = {
    "llama": _case("llama", config=_LLAMA, sequence_length=256),
    "llama eager": _case("llama", config=_LLAMA, model={"attention": "eager"}),
    "llama bf16": _case("llama", config=_LLAMA, precision="bf16", sequence_length=256),
    "llama fp16": _case("llama", config=_LLAMA, precision="fp16"),
    "llama amp-bf16": _case("llama", config=_LLAMA, precision="amp-bf16", sequence_length=256),
    "llama amp-fp16": _case("llama", config=_LLAMA, precision="amp-fp16"),
    "llama checkpointed": _case("llama", config=_LLAMA, checkpointing="full", sequence_length=256),
    "llama accumulate 3": _case("llama", config=_LLAMA, gradient_accumulation_steps=3),
    "llama lora": _case("llama", config=_LLAMA, model={"lora": {"r": 8, "dropout": 0.1}}),
    "llama lora checkpointed": _case(
        "llama", config=_LLAMA, model={"lora": {"r": 8}}, checkpointing="full"
    ),
    "llama frozen": _case("llama", config=_LLAMA, model={"freeze": ["model.layers.[01].*"]}),
    "llama inference": _case("llama", config=_LLAMA, mode="inference", sequence_length=512),
    "llama generation": _case("llama", config=_LLAMA, mode="generation", new_tokens=16),
    "llama static cache": _case(
        "llama", config=_LLAMA, mode="generation", new_tokens=16, cache="static"
    ),
    "llama bf16 generation": _case(
        "llama", config=_LLAMA, mode="generation", new_tokens=8, precision="bf16"
    ),
    "gpt2": _case("gpt2", config=_GPT2, batch_size=4, sequence_length=192),
    "gpt2 eager": _case("gpt2", config=_GPT2, model={"attention": "eager"}),
    "gpt2 checkpointed": _case("gpt2", config=_GPT2, checkpointing="full", batch_size=4),
    "gpt2 sgd momentum": _case("gpt2", config=_GPT2, optimizer={"name": "sgd", "momentum": 0.9}),
    "gpt2 adafactor": _case("gpt2", config=_GPT2, optimizer={"name": "adafactor"}),
    "gpt2 rmsprop": _case("gpt2", config=_GPT2, optimizer={"name": "rmsprop"}),
    "gpt2 adagrad": _case("gpt2", config=_GPT2, optimizer={"name": "adagrad"}),
    "gpt2 adamw foreach": _case("gpt2", config=_GPT2, optimizer={"name": "adamw", "foreach": True}),
    "gpt2 adamw fused": _case("gpt2", config=_GPT2, optimizer={"name": "adamw", "fused": True}),
    "gpt2 amp-bf16": _case("gpt2", config=_GPT2, precision="amp-bf16", batch_size=4),
    "gpt2 generation": _case("gpt2", config=_GPT2, mode="generation", new_tokens=12),
    "qwen3": _case("qwen3", config={**_LLAMA, "head_dim": 64}, sequence_length=256),
    "qwen3 bf16 checkpointed": _case(
        "qwen3", config={**_LLAMA, "head_dim": 64}, precision="bf16", checkpointing="full"
    ),
    "gemma2": _case("gemma2", config={**_LLAMA, "head_dim": 64}, sequence_length=256),
    "gemma3_text": _case("gemma3_text", config={**_LLAMA, "head_dim": 64}),
    "mistral": _case("mistral", config=_LLAMA, sequence_length=256),
    "phi3": _case("phi3", config={**_LLAMA, "num_key_value_heads": 6, "pad_token_id": 0}),
    "opt": _case(
        "opt",
        config={
            "hidden_size": 384,
            "ffn_dim": 1536,
            "num_hidden_layers": 4,
            "word_embed_proj_dim": 384,
            "num_attention_heads": 6,
            "vocab_size": 8000,
        },
    ),
    "gpt_neox": _case("gpt_neox", config={**_BERT, "vocab_size": 8000}),
    "bloom": _case(
        "bloom", config={"hidden_size": 384, "n_layer": 4, "n_head": 6, "vocab_size": 8000}
    ),
    "mixtral": _case("mixtral", config=_MIXTRAL),
    "mixtral eager experts": _case("mixtral", config=_MIXTRAL, model={"experts": "eager"}),
    "olmoe": _case("olmoe", config=_OLMOE),
    "olmoe bf16": _case("olmoe", config=_OLMOE, precision="bf16"),
    "mamba": _case("mamba", config=_MAMBA),
    "mamba2": _case(
        "mamba2",
        config={
            "hidden_size": 256,
            "num_hidden_layers": 2,
            "vocab_size": 8000,
            "num_heads": 8,
            "head_dim": 64,
            "n_groups": 1,
            "state_size": 32,
            "chunk_size": 64,
        },
    ),
    "reformer": _case("reformer", config=_REFORMER, sequence_length=512),
    "bert": _case("bert", _MLM, config=_BERT, batch_size=4),
    "bert amp-bf16": _case("bert", _MLM, config=_BERT, batch_size=4, precision="amp-bf16"),
    "bert classification": _case("bert", "text-classification", config=_BERT, batch_size=8),
    "bert tokens checkpointed": _case(
        "bert", "token-classification", config=_BERT, batch_size=8, checkpointing="full"
    ),
    "bert inference": _case("bert", "feature-extraction", config=_BERT, mode="inference"),
    "distilbert": _case(
        "distilbert", _MLM, config={"dim": 384, "n_layers": 3, "n_heads": 6, "hidden_dim": 1536}
    ),
    "distilbert qa": _case(
        "distilbert", "question-answering", config={"dim": 384, "n_layers": 3, "n_heads": 6}
    ),
    "mobilebert": _case("mobilebert", _MLM, config={"num_hidden_layers": 4}),
    "albert": _case(
        "albert",
        _MLM,
        config={
            "hidden_size": 384,
            "num_attention_heads": 6,
            "num_hidden_layers": 4,
            "intermediate_size": 1536,
        },
    ),
    "deberta-v2": _case("deberta-v2", _MLM, config={**_BERT, "relative_attention": True}),
    "roberta": _case("roberta", _MLM, config=_BERT),
    "electra": _case("electra", "token-classification", config=_BERT),
    "fnet": _case("fnet", _MLM, config={k: v for k, v in _BERT.items() if "heads" not in k}),
    "longformer": _case(
        "longformer", _MLM, config={**_BERT, "attention_window": 64}, sequence_length=256
    ),
    "t5": _case("t5", _SEQ, config=_T5, target_length=64),
    "t5 checkpointed": _case("t5", _SEQ, config=_T5, checkpointing="full"),
    "t5 generation": _case("t5", _SEQ, config=_T5, mode="generation", new_tokens=8),
    "bart": _case("bart", _SEQ, config=_BART),
    "bart bf16": _case("bart", _SEQ, config=_BART, precision="bf16"),
    "whisper": _case("whisper", "automatic-speech-recognition", config=_WHISPER, target_length=48),
    "wav2vec2": _case(
        "wav2vec2",
        "automatic-speech-recognition",
        config={
            **_BERT,
            "vocab_size": 32,
            "conv_dim": [64] * 7,
            "num_conv_pos_embeddings": 32,
            "num_conv_pos_embedding_groups": 4,
        },
        sequence_length=8000,
    ),
    "vit": _case("vit", _IMG, config=_VIT, batch_size=4),
    "vit amp-bf16": _case("vit", _IMG, config=_VIT, batch_size=4, precision="amp-bf16"),
    "deit": _case("deit", _IMG, config=_VIT, batch_size=4),
    "swin": _case(
        "swin", _IMG, config={"embed_dim": 48, "depths": [2, 2, 2], "num_heads": [3, 6, 12]}
    ),
    "resnet": _case(
        "resnet",
        _IMG,
        config={"depths": [1, 1, 1, 1], "embedding_size": 32},
        batch_size=4,
        image_size=128,
    ),
    "resnet inference": _case("resnet", _IMG, mode="inference", batch_size=4, image_size=128),
    "convnext": _case(
        "convnext",
        _IMG,
        config={"depths": [1, 1, 2, 1], "hidden_sizes": [48, 96, 192, 384]},
        image_size=128,
    ),
    "mobilevit": _case("mobilevit", _IMG, config={"num_labels": 10}),
    "segformer": _case("segformer", _IMG, config={"num_labels": 10}),
}
