"""An encoder, and a decoder that attends to its outputs (arXiv 1706.03762)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from planner.models.architecture.network import IGNORED, Network

START = 0  # the id that decoders begin with, as T5's and Marian's pad_token_id in transformers


class EncoderDecoder(Network):
    """A network whose hidden states a decoder attends to.

    Args:
        decoder: without a head; its embedding has the encoder's table of tokens.
        head: the decoder's states to logits.
    """

    def __init__(
        self,
        embedding: nn.Module,
        groups: list[nn.Module],
        norm: nn.Module,
        decoder: Network,
        head: nn.Module | None,
    ) -> None:
        super().__init__(embedding, groups, norm, head, "text2text-generation", "mean")
        self.decoder = decoder

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor,
        labels: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
    ) -> Tensor:
        """The loss where there are labels [B, N]; else logits of the decoder's ids [B, N]."""
        self.redraw()
        return self.decode(self.encode(input_ids), labels, decoder_input_ids)

    def decode(
        self, x: Tensor, labels: Tensor | None = None, decoder_input_ids: Tensor | None = None
    ) -> Tensor:
        """What `forward` returns, of the encoder's outputs."""
        if decoder_input_ids is None:
            assert labels is not None, "labels or the decoder's ids"
            decoder_input_ids = shifted_right(labels)
        assert self.lm_head is not None, "the rules ask for a task of tokens"
        logits: Tensor = self.lm_head(self.decoder.encode(decoder_input_ids, x))
        return logits if labels is None else self.loss(logits, labels)


def shifted_right(labels: Tensor) -> Tensor:
    """Each label's predecessor, START before the first, as transformers' encoder-decoders do."""
    return F.pad(labels.masked_fill(labels == IGNORED, START), (1, -1), value=START)
