"""FNet: tokens mixed by a Fourier transform (arXiv 2105.03824)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FourierMixer(nn.Module):
    """y = Re(FFT over tokens of FFT over width), in fp32; no parameters, nothing saved.

    The complex numbers between take twice the bytes of the input in fp32.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        mixed: Tensor = torch.fft.fftn(x.float(), dim=(-2, -1)).real
        return mixed.to(x.dtype)
