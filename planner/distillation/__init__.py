"""Training from a teacher's logits (Hinton et al. 2015, arXiv 1503.02531)."""
