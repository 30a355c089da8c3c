"""Networks of efficient-transformer blocks, as data: nothing here imports torch.

`planner.models.architecture` builds them.
"""

from planner.architecture.description import ArchitectureModel, Blocks, PatchEmbedding

__all__ = ["ArchitectureModel", "Blocks", "PatchEmbedding"]
