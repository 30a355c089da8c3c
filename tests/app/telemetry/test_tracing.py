from __future__ import annotations

import os
import subprocess
import sys

import pytest

from app.telemetry import tracing
from tests.app.conftest import ROOT

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}, True),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, False),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "zipkin"}, False),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, False),
    ],
)
def test_the_standard_variables_decide(monkeypatch, variables, wanted):
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert tracing._wanted() is wanted


def python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, **variables, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_without_an_endpoint_the_sdk_is_not_imported():
    ended = python(
        "import sys; from app.telemetry import tracing; import app.main;"
        "found = tracing.exported('x', 'i'); assert found.__enter__() is False;"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry.sdk')]"
    )
    assert ended.returncode == 0, ended.stderr


def test_without_the_extra_the_log_says_what_to_install():
    ended = python(
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from app.telemetry import tracing\n"
        "with tracing.exported('x', 'i') as found: assert found is False",
        **ENDPOINT,
    )
    assert ended.returncode == 0, ended.stderr
    assert "headroom[telemetry]" in ended.stderr


def test_a_collector_that_is_away_does_not_hold_the_process_up():
    ended = python(
        "import time; from opentelemetry import trace; from app.telemetry import tracing\n"
        "with tracing.exported('x', 'i') as found:\n"
        "    assert found\n"
        "    with trace.get_tracer('t').start_as_current_span('s'): pass\n"
        "    ending = time.monotonic()\n"
        "print(time.monotonic() - ending)",
        **ENDPOINT,
    )
    assert float(ended.stdout) < 10  # the exporter alone would try for as long
    assert ended.returncode == 0, ended.stderr
