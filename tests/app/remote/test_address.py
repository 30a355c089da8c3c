"""How the service is spoken to."""

from __future__ import annotations

import shutil
import ssl
import subprocess

import httpx2
import pytest

from app.remote.address import Address, WrongAddress
from tests.app.served import Served

TOKEN = "hr_12345678_" + "s" * 43


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv("HEADROOM_API_KEY", TOKEN)


@pytest.mark.parametrize(
    "url",
    ["https://example.org", "https://example.org:8443/headroom/", "http://127.0.0.1:8000",
     "http://localhost:8000", "http://[::1]:8000"],
)  # fmt: skip
def test_addresses_that_keep_the_token_to_those_who_may_have_it(url):
    assert TOKEN not in repr(Address(url))


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://example.org", "in the clear"),
        ("http://10.0.0.4:8000", "in the clear"),
        ("ftp://example.org", "https://host"),
        ("example.org", "https://host"),
        ("https://user:secret@example.org", "leave out"),
        ("https://example.org?key=x", "leave out"),
        ("https://", "https://host"),
    ],
)
def test_addresses_that_are_refused(url, word):
    with pytest.raises(WrongAddress, match=word) as refused:
        Address(url)
    assert "secret" not in str(refused.value)


def test_plain_http_is_possible_where_someone_says_so():
    options = Address("http://10.0.0.4", allow_http=True).options()
    assert options == ["--server", "http://10.0.0.4", "--allow-http"]


def test_the_token_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_text(f"  {TOKEN[:-1]}t\n")
    from_file = Address("https://x", file)
    assert from_file.client().headers["authorization"] == f"Bearer {TOKEN[:-1]}t"
    assert from_file.options()[2:] == ["--token-file", str(file)]
    assert Address("https://x").client().headers["authorization"] == f"Bearer {TOKEN}"
    monkeypatch.delenv("HEADROOM_API_KEY")
    assert "authorization" not in Address("https://x").client().headers


@pytest.mark.parametrize("content", [None, b"", b"two words", b"\xff", b"a\nb"])
def test_what_is_no_token_is_refused_without_being_shown(tmp_path, content):
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(WrongAddress, match="token-file") as refused:
        Address("https://x", file)
    assert "two words" not in str(refused.value)


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
async def test_certificates_are_verified(settings, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("NO OPENSSL: install the package `openssl` to run this test")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "1", *subject],
        check=True, capture_output=True,
    )  # fmt: skip
    served = Served(settings, ssl_keyfile=str(key), ssl_certfile=str(certificate))
    try:
        url = served.url.replace("http:", "https:")
        async with Address(url).client() as stranger:
            with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await stranger.get("/healthz")
        async with Address(url, ca_file=certificate).client() as client:
            assert (await client.get("/healthz")).status_code == 200
    finally:
        served.stop()
    with pytest.raises(WrongAddress, match="ca-file"):
        Address("https://x", ca_file=key).client()
    assert ssl.HAS_TLSv1_3
