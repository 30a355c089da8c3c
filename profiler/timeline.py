"""The measured timeline: live bytes after every event of the allocator, and its compact file."""

from __future__ import annotations

import io
import itertools
import json
from dataclasses import dataclass, field
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt


@dataclass
class Timeline:
    """A step function: `live_bytes[i]` from `time_ns[i]` on; phases are (name, start, end).

    `reserved_bytes` is what a caching allocator held at those times, where there is one.
    """

    time_ns: npt.NDArray[np.int64]
    live_bytes: npt.NDArray[np.int64]
    phases: list[tuple[str, int, int]] = field(default_factory=list)
    reserved_bytes: npt.NDArray[np.int64] | None = None

    def to_bytes(self) -> bytes:
        """A compressed numpy archive without pickled objects."""
        stream = io.BytesIO()
        phases = np.frombuffer(json.dumps(self.phases).encode(), np.uint8)
        series: dict[str, Any] = {"time_ns": self.time_ns, "live_bytes": self.live_bytes}
        if self.reserved_bytes is not None:
            series["reserved_bytes"] = self.reserved_bytes
        np.savez_compressed(stream, phases=phases, **series)
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Timeline:
        """Load what `to_bytes` made.

        Raises:
            ValueError: the data is no timeline.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                phases = json.loads(archive["phases"].tobytes())
                return cls(
                    archive["time_ns"],
                    archive["live_bytes"],
                    [(str(name), int(start), int(end)) for name, start, end in phases],
                    archive.get("reserved_bytes"),
                )
        except (KeyError, ValueError, TypeError, OSError, EOFError, BadZipFile) as error:
            raise ValueError("not a measured timeline") from error

    def points(self, max_points: int) -> dict[str, Any]:
        """About `max_points` points, JSON-ready; the highest and last of each bucket are kept."""
        kept = _kept(self.live_bytes, max_points)
        reserved = self.reserved_bytes
        return {
            "seconds": (self.time_ns[kept] / 1e9).tolist(),
            "live_bytes": self.live_bytes[kept].tolist(),
            "reserved_bytes": None if reserved is None else reserved[kept].tolist(),
            "phases": [
                {"name": name, "start_seconds": start / 1e9, "end_seconds": end / 1e9}
                for name, start, end in self.phases
            ],
        }


def _kept(values: npt.NDArray[np.int64], max_points: int) -> npt.NDArray[np.int64]:
    count = len(values)
    if count <= max_points:
        return np.arange(count, dtype=np.int64)
    buckets = max(1, max_points // 2)
    edges = np.linspace(0, count, buckets + 1, dtype=np.int64)
    highest = [low + int(np.argmax(values[low:high])) for low, high in itertools.pairwise(edges)]
    return np.unique(np.concatenate((np.array(highest, np.int64), edges[1:] - 1)))
