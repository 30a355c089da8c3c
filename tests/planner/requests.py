"""Small real requests that several tests trace or run."""

from planner.check import check
from planner.request import SimulationRequest

TINY = {
    "gpt2": {
        "n_embd": 128, "n_layer": 2, "n_head": 2, "vocab_size": 512,
        "bos_token_id": 0, "eos_token_id": 0,
    },
    "llama": {
        "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512,
    },
    "bert": {
        "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 256, "vocab_size": 512,
    },
    "t5": {
        "d_model": 128, "d_kv": 32, "d_ff": 256, "num_layers": 2, "num_heads": 4, "vocab_size": 512,
    },
    "mamba": {"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 512},
    "resnet": {"depths": [1, 1], "hidden_sizes": [32, 64], "embedding_size": 16, "num_labels": 10},
    "vit": {
        "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2, "num_labels": 10,
        "intermediate_size": 128, "image_size": 32, "patch_size": 8, "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
    },
    "convnext": {
        "depths": [1, 2], "hidden_sizes": [16, 32], "num_stages": 2, "num_labels": 10,
        "drop_path_rate": 0.1,
    },
    "mixtral": {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 512,
        "num_attention_heads": 4, "num_key_value_heads": 2, "num_local_experts": 4,
    },
}  # fmt: skip


def request(model_type, task="text-generation", *, model=None, checkpointing="none", **workload):
    """A checked request for one of the `TINY` models."""
    return check(
        SimulationRequest.model_validate(
            {
                "model": {
                    "source": "transformers",
                    "task": task,
                    "config": {"model_type": model_type, **TINY[model_type]},
                    **(model or {}),
                },
                "workload": {"batch_size": 2, "sequence_length": 32, **workload},
                "strategy": {"checkpointing": checkpointing},
            }
        )
    )
