"""Losses between what a model and its teacher say."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def divergence(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL(teacher, model) of softened probabilities, in fp32, mean over rows (Hinton et al. 2015,
    arXiv 1503.02531, section 2; as in DistilBERT's training, arXiv 1910.01108).

    Args:
        logits, teacher: [..., V]; the teacher's have no gradient.
    """
    log_model = F.log_softmax(_rows(logits) / temperature, dim=-1)
    return F.kl_div(log_model, _probabilities(teacher, temperature), reduction="batchmean")


def top_k_divergence(logits: Tensor, values: Tensor, indices: Tensor, temperature: float) -> Tensor:
    """The same over the teacher's k largest alone, whose probabilities are taken to sum to 1.

    Args:
        logits: [..., V].
        values, indices: [..., k], the teacher's logits and where they belong.
    """
    log_model = F.log_softmax(_rows(logits) / temperature, dim=-1)
    chosen = log_model.gather(-1, indices.view(-1, indices.shape[-1]))
    return F.kl_div(chosen, _probabilities(values, temperature), reduction="batchmean")


def cosine_distance(states: Tensor, teacher: Tensor) -> Tensor:
    """1 - cosine of hidden states [..., H], mean over tokens (DistilBERT, arXiv 1910.01108, section
    2: aligning the directions of the student's and the teacher's hidden states).
    """
    return 1 - F.cosine_similarity(_rows(states), _rows(teacher), dim=-1).mean()


@torch.no_grad()
def _probabilities(teacher: Tensor, temperature: float) -> Tensor:
    return F.softmax(_rows(teacher) / temperature, dim=-1)


def _rows(logits: Tensor) -> Tensor:
    return logits.float().reshape(-1, logits.shape[-1])
