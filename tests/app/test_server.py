from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import sys
import time

import httpx2
import pytest
from pydantic import ValidationError
from sqlalchemy import select
from starlette.testclient import TestClient
from typer.testing import CliRunner

from app.cli.application import application
from app.cli.commands.service import load_certificate
from app.cli.errors import CliError
from app.models import AuditEntry
from app.server import server_config
from app.settings import Settings

PROXY, BEHIND_IT = "10.1.2.3", "203.0.113.9"


def certificate_of(folder, name: str):
    if shutil.which("openssl") is None:
        pytest.skip("needs the command openssl")
    chain, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(
        [*command, "-keyout", key, "-out", chain], check=True, capture_output=True, timeout=60
    )
    return chain, key


@pytest.mark.parametrize(
    ("trusted", "client"), [(["10.0.0.0/8"], BEHIND_IT), ([PROXY], BEHIND_IT), (["::1"], PROXY)]
)
async def test_the_address_behind_a_proxy_is_noted_if_the_proxy_is_trusted(
    sqlite_settings, trusted, client
):
    settings = sqlite_settings.model_copy(update={"trusted_proxies": trusted})
    config = server_config(settings, "127.0.0.1", 0)
    config.load()
    with TestClient(config.loaded_app, client=(PROXY, 1)) as caller:
        caller.delete("/v1/runs/run_0", headers={"X-Forwarded-For": f"192.0.2.1, {BEHIND_IT}"})
        database = config.app.state.context.database
        async with database.read() as session:
            assert list(await session.scalars(select(AuditEntry.client))) == [client]


def test_a_proxy_that_is_no_address_is_refused_by_name():
    with pytest.raises(ValidationError, match=r"'proxy\.example' is no address"):
        Settings(trusted_proxies=["proxy.example"])


def test_https_with_a_certificate_of_ones_own(sqlite_settings, tmp_path):
    chain, key = certificate_of(tmp_path, "ours")
    log = tmp_path / "serve.log"
    command = ["serve", "--port", "0", "--no-worker", "--tls-cert", str(chain)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", *command, "--tls-key", str(key)],
            env={**os.environ, **sqlite_settings.as_environment()},
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + 90
        while not (address := re.search(r"https://127\.0\.0\.1:\d+", log.read_text())):
            assert time.monotonic() < deadline, log.read_text()
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        context = ssl.create_default_context(cafile=str(chain))
        assert httpx2.get(f"{address[0]}/healthz", verify=context).json() == {"status": "ok"}
        with pytest.raises(httpx2.ConnectError, match="certificate"):
            httpx2.get(f"{address[0]}/healthz")
    finally:
        process.terminate()
        process.wait(30)


def test_a_certificate_without_its_own_key_is_refused(tmp_path):
    chain, _ = certificate_of(tmp_path, "ours")
    _, other = certificate_of(tmp_path, "other")
    with pytest.raises(CliError, match=r"cannot be used: .*MISMATCH"):
        load_certificate(chain, other)
    with pytest.raises(CliError, match="give both, or neither"):
        load_certificate(chain, None)
    missing = CliRunner().invoke(application, ["serve", "--tls-cert", str(tmp_path / "none.pem")])
    assert missing.exit_code == 2
