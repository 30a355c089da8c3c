from __future__ import annotations

import json
import logging
import os
import subprocess
import sys

import pytest
import structlog
from asgi_correlation_id import correlation_id

from app.settings import Settings
from app.telemetry import logs
from tests.app.conftest import ROOT

LOG = logging.getLogger("app.somewhere")


def test_a_line_is_one_object_that_says_when_how_severe_and_who(logged):
    lines = logged()
    LOG.warning("it took %d s\nand more", 3, extra={"queue": "plans"})
    (line,) = lines.all()
    assert line.pop("timestamp").endswith("Z")
    process = {name: line.pop(name, None) for name in logs._process}
    assert process == logs._process
    assert line == {
        "event": "it took 3 s\nand more",
        "level": "warning",
        "logger": "app.somewhere",
        "queue": "plans",
    }


def test_what_is_bound_to_the_task_is_in_its_lines(logged):
    lines = logged()
    token = correlation_id.set("r1")
    with structlog.contextvars.bound_contextvars(job_id="run_1", attempt=2):
        LOG.info("inside")
    correlation_id.reset(token)
    LOG.info("outside")
    inside, outside = lines.all()
    assert (inside["request_id"], inside["job_id"], inside["attempt"]) == ("r1", "run_1", 2)
    assert not {"request_id", "job_id", "attempt"} & set(outside)


def test_secrets_are_in_no_part_of_a_line(logged):
    lines = logged(database_url="postgresql://h:s3cret-one@db/x")
    try:
        raise ValueError("cannot reach postgresql://h:s3cret-one@db/x")
    except ValueError:
        LOG.exception("no %s", "s3cret-one", extra={"authorization": "x", "args_": ["s3cret-one"]})
    assert "s3cret" not in lines.getvalue()
    (line,) = lines.all()
    assert "ValueError: cannot reach postgresql://h:***@db/x" in line["exception"]
    assert line["authorization"] == "***"


def test_the_exporter_s_headers_are_secrets(monkeypatch, sqlite_settings):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=abcdef,x=ghijkl")
    assert logs.secrets_of(sqlite_settings) == ["abcdef", "ghijkl"]


def test_people_get_lines_to_read(logged):
    lines = logged(log_format="console")
    LOG.info("hello", extra={"job_id": "run_1"})
    assert "hello" in lines.getvalue()
    assert "job_id='run_1'" in lines.getvalue()
    with pytest.raises(ValueError, match="line 1"):
        lines.all()


def test_lines_below_the_level_are_not_logged(logged):
    lines = logged(log_level="ERROR")
    LOG.warning("unheard")
    assert lines.all() == []
    assert Settings(log_level="debug").log_level == "DEBUG"


LIBRARIES = """
import logging, warnings
from app.settings import Settings
from app.telemetry import logs
from dbos import DBOS, DBOSConfig
logs.configure(Settings(), "worker")
logs.identify(worker_id="w")
DBOS(config=DBOSConfig(name="headroom", system_database_url="sqlite:///unused.db"))
logging.getLogger("dbos").warning("from dbos")
logging.getLogger("uvicorn.error").info("from uvicorn", extra={"color_message": "x"})
logging.getLogger("alembic.runtime.migration").warning("from alembic")
warnings.warn("from Python")
raise ConnectionError("to postgresql://h:s3cret-one@db/x")
"""


def test_libraries_warnings_and_uncaught_errors_go_the_same_way(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", LIBRARIES],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HEADROOM_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    lines = {line["logger"]: line for line in map(json.loads, ended.stderr.splitlines())}
    assert lines["dbos"]["event"] == "from dbos"
    assert lines["uvicorn.error"]["event"] == "from uvicorn"
    assert lines["alembic.runtime.migration"]["event"] == "from alembic"
    assert "from Python" in lines["py.warnings"]["event"]
    assert "ConnectionError: to postgresql://h:***@db/x" in lines["app"]["exception"]
    for line in lines.values():
        assert (line["component"], line["worker_id"]) == ("worker", "w")
        assert not {"color_message", "applicationID", "executorID"} & set(line)
