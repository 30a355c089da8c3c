"""What a trace on the simulated CUDA device leaves out, in words for the answer."""

LIMITATIONS = (
    "CUDA's kernels are simulated on a host without one, after the source of torch and not its "
    "binaries: scratch of kernels and workspaces of libraries are included only as far as the "
    "table of them goes.",
    "Attention kernels are chosen as by torch 2.13's CUDA 13 wheels, whose cuDNN is at least "
    "9.15.1; other builds may choose others on Hopper and Blackwell.",
    "What cuDNN's batch normalisation reserves for its backward is taken to be nothing, and "
    "recurrent layers run as ATen's own cells instead of cuDNN's.",
)
