"""The examples of reverse proxies: what each must be told, and what its own check says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.settings import Settings
from tests.app.test_server import certificate_of

FOLDER = Path(__file__).parents[2] / "deploy" / "proxy"
NGINX = (FOLDER / "nginx.conf").read_text()
CADDY = (FOLDER / "Caddyfile").read_text()


@pytest.mark.parametrize("timeout", ["proxy_read_timeout", "response_header_timeout"])
def test_proxies_wait_longer_than_the_longest_wait(timeout):
    (seconds,) = re.findall(rf"{timeout} (\d+)s", NGINX + CADDY)
    assert int(seconds) > Settings.model_fields["max_wait_s"].default


def test_events_are_not_held_back():
    assert "proxy_buffering off;" in NGINX
    assert "flush_interval -1" in CADDY


def test_what_a_client_claims_to_be_is_not_passed_on():
    assert "X-Forwarded-For $remote_addr;" in NGINX


def test_nginx_takes_its_example(tmp_path):
    if (nginx := shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")) is None:
        pytest.skip("needs nginx")
    chain, key = certificate_of(tmp_path, "site")
    site = NGINX.replace("/etc/ssl/headroom/fullchain.pem", str(chain))
    site = site.replace("/etc/ssl/headroom/privkey.pem", str(key))
    # Ports that a user without privileges may test, in a folder that it may write to.
    site = site.replace(":80;", ":18080;").replace(" 80;", " 18080;").replace("443", "18443")
    main = f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off;\n{site}}}"
    (tmp_path / "nginx.conf").write_text(main)
    command = [nginx, "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "syntax is ok" in checked.stderr
    assert "[emerg]" not in checked.stderr


def test_caddy_takes_its_example():
    if shutil.which("caddy") is None:
        pytest.skip("needs caddy")
    command = ["caddy", "adapt", "--config", str(FOLDER / "Caddyfile"), "--adapter", "caddyfile"]
    adapted = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert adapted.returncode == 0, adapted.stderr
