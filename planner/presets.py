"""Named descriptions that ship with Headroom: known models, small and in their paper's size."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Any

from planner.architecture.presets import ARCHITECTURE_PRESETS, ArchitecturePreset
from planner.errors import InvalidRequest
from planner.request import PresetModel, SimulationRequest, TransformersModel

Fields = dict[str, Any]


@dataclass(frozen=True)
class Preset:
    """A model type with the fields of two sizes.

    Attributes:
        paper_name: the model that size `paper` is, as its authors call it.
        small: fields that make it run on a CPU in seconds.
        workload: what an example needs besides the defaults, by size.
    """

    task: str
    model_type: str
    summary: str
    paper: str
    paper_name: str
    paper_fields: Fields
    small: Fields
    workload: dict[str, Fields] = field(default_factory=dict)

    def description(self, size: str) -> TransformersModel:
        """The full description that the preset stands for."""
        fields = self.small if size == "small" else self.paper_fields
        return TransformersModel.model_validate(
            {
                "source": "transformers",
                "task": self.task,
                "config": {"model_type": self.model_type, **fields},
            }
        )

    def example_workload(self, size: str) -> Fields:
        """Batch and lengths that suit the size."""
        batch = 4 if size == "small" else 1
        return {"batch_size": batch, "sequence_length": 128, **self.workload.get(size, {})}


_SMALL_DECODER = {
    "hidden_size": 256,
    "intermediate_size": 688,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 8_192,
    "max_position_embeddings": 2_048,
}
_SMALL_ENCODER = {
    "hidden_size": 256,
    "intermediate_size": 1_024,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "vocab_size": 8_192,
}

PRESETS: dict[str, Preset | ArchitecturePreset] = {
    "gpt2": Preset(
        "text-generation",
        "gpt2",
        "decoder with learned positions",
        "Radford et al. 2019, Language Models are Unsupervised Multitask Learners",
        "GPT-2 small, 124M",
        {},
        {"n_embd": 256, "n_layer": 4, "n_head": 4, "vocab_size": 8_192},
        {"paper": {"sequence_length": 1_024}},
    ),
    "llama-3.1-8b": Preset(
        "text-generation",
        "llama",
        "decoder with rotary positions and grouped-query attention",
        "arXiv 2407.21783",
        "Llama 3.1 8B",
        {
            "hidden_size": 4_096,
            "intermediate_size": 14_336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "vocab_size": 128_256,
            "max_position_embeddings": 131_072,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 500_000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8_192,
            },
        },
        _SMALL_DECODER,
        {"paper": {"sequence_length": 2_048, "precision": "bf16"}},
    ),
    "qwen3-8b": Preset(
        "text-generation",
        "qwen3",
        "decoder with normalised queries and keys",
        "arXiv 2505.09388",
        "Qwen3 8B",
        {
            "hidden_size": 4_096,
            "intermediate_size": 12_288,
            "num_hidden_layers": 36,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "vocab_size": 151_936,
            "max_position_embeddings": 40_960,
        },
        {**_SMALL_DECODER, "head_dim": 32},
        {"paper": {"sequence_length": 2_048, "precision": "bf16"}},
    ),
    "mistral-7b": Preset(
        "text-generation",
        "mistral",
        "decoder with sliding-window attention",
        "arXiv 2310.06825",
        "Mistral 7B v0.1",
        {
            "hidden_size": 4_096,
            "intermediate_size": 14_336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "sliding_window": 4_096,
            "max_position_embeddings": 32_768,
        },
        {**_SMALL_DECODER, "sliding_window": 64},
        {"paper": {"sequence_length": 2_048, "precision": "bf16"}},
    ),
    "mixtral-8x7b": Preset(
        "text-generation",
        "mixtral",
        "decoder with a mixture of eight experts, two at work on each token",
        "arXiv 2401.04088",
        "Mixtral 8x7B",
        {
            "hidden_size": 4_096,
            "intermediate_size": 14_336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "num_local_experts": 8,
            "num_experts_per_tok": 2,
            "max_position_embeddings": 32_768,
        },
        {**_SMALL_DECODER, "num_local_experts": 4, "num_experts_per_tok": 2},
        {"paper": {"sequence_length": 2_048, "precision": "bf16"}},
    ),
    "gemma2-9b": Preset(
        "text-generation",
        "gemma2",
        "decoder alternating local and global attention, with soft-capped scores",
        "arXiv 2408.00118",
        "Gemma 2 9B",
        {
            "hidden_size": 3_584,
            "intermediate_size": 14_336,
            "num_hidden_layers": 42,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 256,
        },
        {**_SMALL_DECODER, "head_dim": 32},
        {"paper": {"sequence_length": 2_048, "precision": "bf16"}},
    ),
    "mamba-130m": Preset(
        "text-generation",
        "mamba",
        "selective state space instead of attention",
        "arXiv 2312.00752",
        "Mamba 130M",
        {"hidden_size": 768, "num_hidden_layers": 24, "vocab_size": 50_280},
        {"hidden_size": 128, "num_hidden_layers": 2, "vocab_size": 8_192},
        {"small": {"sequence_length": 64}},
    ),
    "reformer-enwik8": Preset(
        "text-generation",
        "reformer",
        "decoder with locality-sensitive hashing and reversible layers",
        "arXiv 2001.04451",
        "Reformer on enwik8",
        {
            "is_decoder": True,
            "attn_layers": ["local", "local", "lsh", "local"] * 3,
            "hidden_size": 1_024,
            "feed_forward_size": 4_096,
            "num_attention_heads": 8,
            "attention_head_size": 128,
            "axial_pos_shape": [128, 512],
            "axial_pos_embds_dim": [256, 768],
            "max_position_embeddings": 65_536,
            "num_hashes": 4,
            "num_buckets": 512,
            "lsh_attn_chunk_length": 256,
            "local_attn_chunk_length": 128,
            "vocab_size": 258,
        },
        {
            "is_decoder": True,
            "attn_layers": ["local", "lsh"],
            "axial_pos_shape": [16, 16],
            "axial_pos_embds_dim": [64, 192],
            "num_buckets": 8,
            "num_attention_heads": 4,
            "attention_head_size": 64,
            "max_position_embeddings": 256,
        },
        {"small": {"sequence_length": 256}, "paper": {"sequence_length": 65_536}},
    ),
    "bert-base": Preset(
        "fill-mask",
        "bert",
        "encoder",
        "arXiv 1810.04805",
        "BERT base, uncased",
        {"vocab_size": 30_522},
        _SMALL_ENCODER,
        {"paper": {"sequence_length": 512, "batch_size": 8}},
    ),
    "distilbert": Preset(
        "fill-mask",
        "distilbert",
        "encoder of half the layers, distilled",
        "arXiv 1910.01108",
        "DistilBERT base, uncased",
        {},
        {"dim": 256, "hidden_dim": 1_024, "n_layers": 2, "n_heads": 4, "vocab_size": 8_192},
        {"paper": {"sequence_length": 512, "batch_size": 8}},
    ),
    "mobilebert": Preset(
        "fill-mask",
        "mobilebert",
        "encoder of thin layers with bottlenecks",
        "arXiv 2004.02984",
        "MobileBERT, uncased",
        {},
        {"num_hidden_layers": 4, "vocab_size": 8_192},
        {"paper": {"sequence_length": 512, "batch_size": 8}},
    ),
    "deberta-v3-base": Preset(
        "text-classification",
        "deberta-v2",
        "encoder with disentangled relative positions",
        "arXiv 2111.09543",
        "DeBERTa v3 base",
        {
            "hidden_size": 768,
            "intermediate_size": 3_072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "vocab_size": 128_100,
            "type_vocab_size": 0,
            "relative_attention": True,
            "position_biased_input": False,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 256,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
        },
        {**_SMALL_ENCODER, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
        {"paper": {"sequence_length": 512, "batch_size": 8}},
    ),
    "t5-base": Preset(
        "text2text-generation",
        "t5",
        "encoder and decoder with relative position biases",
        "arXiv 1910.10683",
        "T5 base",
        {"d_model": 768, "d_ff": 3_072, "num_layers": 12, "num_heads": 12},
        {"d_model": 256, "d_ff": 1_024, "d_kv": 64, "num_layers": 2, "num_heads": 4},
        {"paper": {"sequence_length": 512, "target_length": 128, "batch_size": 4}},
    ),
    "vit-base": Preset(
        "image-classification",
        "vit",
        "encoder over image patches",
        "arXiv 2010.11929",
        "ViT-B/16",
        {"num_labels": 1_000},
        {
            "hidden_size": 192,
            "intermediate_size": 768,
            "num_hidden_layers": 4,
            "num_attention_heads": 3,
        },
        {"paper": {"batch_size": 32}},
    ),
    "swin-tiny": Preset(
        "image-classification",
        "swin",
        "hierarchical encoder with shifted windows",
        "arXiv 2103.14030",
        "Swin-T",
        {"num_labels": 1_000},
        {"embed_dim": 48, "depths": [2, 2], "num_heads": [2, 4], "image_size": 112},
        {"paper": {"batch_size": 32}},
    ),
    "resnet-50": Preset(
        "image-classification",
        "resnet",
        "residual convolutions",
        "arXiv 1512.03385",
        "ResNet-50",
        {"num_labels": 1_000},
        {
            "embedding_size": 32,
            "hidden_sizes": [64, 128],
            "depths": [1, 1],
            "num_labels": 10,
        },
        {"small": {"image_size": 112}, "paper": {"batch_size": 32}},
    ),
    "whisper-small": Preset(
        "automatic-speech-recognition",
        "whisper",
        "encoder of a spectrogram, decoder of text",
        "arXiv 2212.04356",
        "Whisper small",
        {
            "d_model": 768,
            "encoder_layers": 12,
            "decoder_layers": 12,
            "encoder_attention_heads": 12,
            "decoder_attention_heads": 12,
            "encoder_ffn_dim": 3_072,
            "decoder_ffn_dim": 3_072,
        },
        {
            "d_model": 128,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 512,
            "decoder_ffn_dim": 512,
            "max_source_positions": 300,
        },
    ),
    **ARCHITECTURE_PRESETS,
}


def resolve(request: SimulationRequest) -> SimulationRequest:
    """The request with a preset replaced by the description it stands for.

    Raises:
        InvalidRequest: there is no preset of that name.
    """
    if not isinstance(request.model, PresetModel):
        return request
    preset = PRESETS.get(request.model.name)
    if preset is None:
        close = difflib.get_close_matches(request.model.name, PRESETS, n=1)
        hint = f'did you mean "{close[0]}"? ' if close else ""
        raise InvalidRequest.at(
            "/model/name",
            f"unknown preset {request.model.name!r}",
            f"{hint}presets are {', '.join(PRESETS)}",
        )
    return request.model_copy(update={"model": preset.description(request.model.size)})
