"""Selective state spaces (Mamba, arXiv 2312.00752) as `torch.nn` modules.

Letters in docstrings: B batch, S tokens, H hidden_size, D inner width, N numbers of the state of a
channel.
"""
