"""What CUDA kernels take from torch's caching allocator inside an op, which no output shows.

`scratch` tells the temporaries of one call, `workspace` the persistent buffer that an op's library
keeps. Both need no GPU: they follow from shapes, strides, dtypes and the device's profile. The same
table as a page is docs/cuda-scratch.md.

Limitations: nothing here was compared with a GPU. The sources of 2.13.0's kernels are not
distributed with it; what was read instead is said entry by entry. AMD devices run other kernels:
for them only the workspaces are known.
"""

from planner.devices.scratch.blas import BlasSettings, Workspace, workspace
from planner.devices.scratch.lookup import LIMITATIONS, known_in_part, limitation, scratch

__all__ = [
    "LIMITATIONS",
    "BlasSettings",
    "Workspace",
    "known_in_part",
    "limitation",
    "scratch",
    "workspace",
]
