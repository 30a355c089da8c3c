"""What a CUDA context takes of a device's memory, by architecture, as published.

A context holds the driver's own structures, local memory for every multiprocessor, and the code of
kernels that were loaded. Since CUDA 11.7 kernels are loaded when they are first used, which
PyTorch asks for (`CUDA_MODULE_LOADING=LAZY`); before, all of them were, and a context took 1 GiB
and more (pytorch/pytorch#107667). The driver, the size of the build and the kernels that a workload
uses move the number: only a measurement on the device itself replaces the range. A worker makes
one when it starts (`profiler.context`).

Readings, in MiB, each of one process beside what the caching allocator holds:

    105-141  Tesla T4: after `torch.cuda.init()`, and after a training step
    258      A10G at its initialisation
    300, 400 orders of magnitude that a PyTorch developer gives for CUDA >= 11.7
             (pytorch/pytorch#107667, #109888; no device named)
    498-1417 A100 80 GB, on two days
    114-525  any device: bare contexts of llama.cpp (ggml-org/llama.cpp#20595: 120-550 MB)
    828      RTX 5090: ComfyUI after its models are unloaded
    1001     RTX 3090, CUDA 11.1, all kernels loaded (pytorch/pytorch#54564)
    1005     Titan V (sm_70), CUDA 10.1, all kernels loaded (pytorch/pytorch#28394)
    1343     V100, CUDA 11.2, all kernels loaded (transformers' documentation, GPU training)
    1020     RTX 5060 Ti (sm_120), llama.cpp, called unexplained (Luce-Org/lucebox#407)

Limitation: there is no reading for sm_89, sm_90 and sm_100; they get the least and the most of all.
None was made by Headroom. Readings without a number of an issue are from logs that people published
in their repositories.
"""

from __future__ import annotations

from planner.devices.profile import ByteRange

_MIB = 2**20

_OF_ALL = (105, 1417)
_MIB_BY_ARCHITECTURE: dict[str, tuple[int, int, str]] = {
    "sm_70": (105, 1343, "least of any device; V100 under CUDA 11.2, all kernels loaded"),
    "sm_75": (105, 400, "T4 at its initialisation; pytorch#109888's order of magnitude"),
    "sm_80": (498, 1417, "A100 80 GB, two readings"),
    "sm_86": (258, 1001, "A10G at its initialisation; RTX 3090 under CUDA 11.1 (pytorch#54564)"),
    "sm_120": (114, 1020, "least of llama.cpp#20595, tried on an RTX PRO 6000; lucebox#407"),
}


def published_context(architecture: str) -> ByteRange:
    """The range of published readings for an NVIDIA architecture, or of all where it has none."""
    low, high, source = _MIB_BY_ARCHITECTURE.get(
        architecture, (*_OF_ALL, "none published for it: least and most of any device")
    )
    return ByteRange(
        low_bytes=low * _MIB,
        high_bytes=high * _MIB,
        source=f"published readings ({architecture}): {source}",
    )
