"""`source: architecture` as `torch.nn` modules, one file a technique.

Letters in docstrings: B batch, S tokens, H hidden_size, A heads, d numbers a head.
"""
