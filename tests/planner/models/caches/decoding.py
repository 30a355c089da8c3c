"""Small random decoders, and their greedy answers with a cache policy or without."""

import functools

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from planner.models.caches.make import caching
from tests.planner.requests import TINY

PROMPT = 40
NEW = 8

CONFIGS = {
    "llama": TINY["llama"],
    "gpt2": TINY["gpt2"],
    "mistral": TINY["llama"],
    "qwen3": {**TINY["llama"], "head_dim": 32},
}


@functools.cache
def decoder(model_type, **config):
    """A model with larger random weights than usual, so that its answers differ by position."""
    torch.manual_seed(0)
    fixed = {"bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.1}
    described = AutoConfig.for_model(model_type, **{**fixed, **CONFIGS[model_type], **config})
    return AutoModelForCausalLM.from_config(described).eval()


def prompt():
    return torch.randint(0, 512, (2, PROMPT), generator=torch.Generator().manual_seed(1))


def answer(model, choice=None, new_tokens=NEW, inspect=None):
    """Token ids and logits `[step, batch, vocabulary]`; `inspect` sees the cache at the end."""
    ids = prompt()
    options = {
        "input_ids": ids, "attention_mask": torch.ones_like(ids), "do_sample": False,
        "min_new_tokens": new_tokens, "max_new_tokens": new_tokens, "pad_token_id": 0,
        "eos_token_id": None, "output_logits": True, "return_dict_in_generate": True,
    }  # fmt: skip
    with torch.inference_mode():
        if choice is None:
            given = model.generate(**options)
        else:
            with caching(choice, model, PROMPT + new_tokens) as cache:
                given = model.generate(**options, past_key_values=cache)
                if inspect is not None:
                    inspect(cache)
    return given.sequences, torch.stack(given.logits)


def relative_error(found, expected):
    return float((found - expected).norm() / expected.norm())
