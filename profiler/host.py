"""The host's processor."""

from __future__ import annotations

import platform


def cpu_model() -> str:
    """The processor's own name, from `/proc/cpuinfo` where there is one."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
