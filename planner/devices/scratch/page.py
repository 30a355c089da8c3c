"""The table as a page: `python -m planner.devices.scratch.page > docs/cuda-scratch.md`."""

from __future__ import annotations

from planner.devices.scratch.lookup import LIMITATIONS
from planner.devices.scratch.table import TABLE, Entry

_INTRODUCTION = """\
# What CUDA kernels allocate inside an op

Temporaries come from torch's caching allocator like tensors, but no output of an op shows them. The
tracer adds them to a step that is simulated on a CUDA device. This page is made from the table
that it uses (`planner/devices/scratch/`, by `python -m planner.devices.scratch.page`).

Nothing here was measured on a GPU. Sizes are bytes, before the allocator rounds them (to 512).
`CUB(n, k, v)` is the temporary storage of CUB's radix sort of n keys of k bytes with values of v
bytes, about n (k + v) (`planner/devices/scratch/cub.py`).
"""

_WORKSPACES = """\
## Persistent workspaces

| library | bytes | decided by |
|---|---|---|
| cuBLAS, capability 9.x, 10.x, 12.x | 33,554,432 | `CUBLAS_WORKSPACE_CONFIG` (":KiB:count"...) |
| cuBLAS, other NVIDIA devices | 8,519,680 | the same |
| cuBLASLt | that of cuBLAS, shared | `TORCH_CUBLASLT_UNIFIED_WORKSPACE=0` parts them |
| cuBLASLt, parted | 1,048,576 | `CUBLASLT_WORKSPACE_SIZE` (KiB) |
| hipBLAS, gfx94x and gfx95x | 134,217,728 | `CUBLAS_WORKSPACE_CONFIG` |
| hipBLAS, other AMD devices | 33,554,432 | the same |
| hipBLASLt | 79,691,776 | `CUBLASLT_WORKSPACE_SIZE` (KiB) |

Allocated at the first use of each (handle, stream), never freed. A thread has its own handle, and
autograd runs backward in a thread of the device: a training step has two. `addmm` with a bias row
that is added whole (beta 1), in fp64 to bf16 and with no dimension of 1 goes to cuBLASLt; `mm`,
`bmm`, `baddbmm` and all other `addmm` to cuBLAS.
Source: aten/src/ATen/cuda/CublasHandlePool.cpp, aten/src/ATen/native/cuda/Blas.cpp
(isInputCompliesAddmmCudaLt).
"""


def page() -> str:
    """Markdown."""
    parts = [_INTRODUCTION, _WORKSPACES, "## Temporaries\n", *map(_section, TABLE)]
    general = "\n".join(f"- {text}" for text in LIMITATIONS if ": " not in text)
    return "\n".join([*parts, f"## Limitations of all\n\n{general}\n"])


def _section(entry: Entry) -> str:
    lines = [
        "### " + ", ".join(f"`{_name(entry, i)}`" for i in range(len(entry.ops))),
        "",
        f"- what: {entry.what}",
        f"- bytes: {entry.formula}",
        f"- source: {entry.source}",
        f"- version: {entry.version}",
    ]
    if entry.limitation:
        lines.append(f"- limitation: {entry.limitation}")
    return "\n".join(lines) + "\n"


def _name(entry: Entry, index: int) -> str:
    return str(entry.ops[index]).removeprefix("aten.").removesuffix(".default")


if __name__ == "__main__":
    print(page(), end="")
