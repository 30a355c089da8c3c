"""Keys, scopes, rates, headers and the log of writes, over HTTP."""

import json
import re
from datetime import timedelta

import pytest
import sqlalchemy
from fastapi import Depends, Response
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from typer.testing import CliRunner

from app.access import repository
from app.access.guard import OPEN, routine
from app.access.keys import Scope, digest, make_key, permits, prefix_of
from app.access.repository import add_key, all_keys, revoke
from app.cli.application import application
from app.kit.columns import utc_now
from app.kit.hosts import is_loopback
from app.main import create_app
from app.models import ApiKey, AuditEntry
from tests.app.keys import guarded_app

BODY = {"model": {"source": "transformers", "config": {"model_type": "gpt2"}}}


async def key_of(database, *scopes, expires_at=None, **rest):
    key = make_key()
    async with database.write() as session:
        await add_key(session, key, "a test", frozenset(map(Scope, scopes)), expires_at, **rest)
    return key


def with_key(key):
    return {"Authorization": f"Bearer {key.text}"}


@pytest.fixture
def guarded(settings):
    with TestClient(guarded_app(settings), raise_server_exceptions=False) as client:
        yield client


def test_scopes_imply_each_other_downwards_only():
    assert permits(frozenset({Scope.WRITE}), Scope.READ)
    assert permits(frozenset({Scope.ADMIN}), Scope.WORKER)
    assert not permits(frozenset({Scope.READ}), Scope.WRITE)
    assert not permits(frozenset({Scope.WORKER}), Scope.READ)


def test_keys_differ_and_name_themselves():
    one, other = make_key(), make_key()
    assert one.text != other.text
    assert prefix_of(one.text) == one.prefix
    assert one.digest == digest(one.text) != other.digest
    assert prefix_of(one.text + "x") is None


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json", "/", "/runs/x"])
def test_what_anyone_may_see(guarded, path):
    assert guarded.get(path).status_code in (200, 503)


def test_every_other_call_of_the_document_needs_a_key(guarded):
    paths = guarded.get("/openapi.json").json()["paths"]
    assert len(paths) > 15
    for path, methods in paths.items():
        for method in methods:
            if path in ("/healthz", "/readyz"):
                continue
            answer = guarded.request(method, path.replace("{", "").replace("}", ""))
            assert answer.status_code == 401, (method, path)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"] == "Bearer"
    assert guarded.get("/metrics").status_code == 401
    assert guarded.get("/v1/nothing").status_code == 401


def calls_of(routes):
    """Every method of every route, documented or not, with a path that it answers."""
    for route in routes:
        if hasattr(route, "effective_candidates"):  # a router of FastAPI's that is included
            yield from calls_of(route.effective_candidates())
            continue
        path = re.sub(r"\{[^}]*\}", "x", route.path)
        for method in getattr(route, "methods", None) or ("GET",):
            yield method, path


async def test_every_route_asks_for_a_key_and_for_the_scope(guarded, database):
    """Also those that no document lists, and those that are added after this was written."""
    reader = await key_of(database, "read")
    calls = set(calls_of(guarded.app.routes))
    assert {("POST", "/v1/runs"), ("PATCH", "/v1/plans/x"), ("GET", "/metrics")} <= calls
    for method, path in calls:
        if path in OPEN:
            continue
        assert guarded.request(method, path).status_code == 401, (method, path)
        if method not in ("GET", "HEAD", "OPTIONS"):
            refused = guarded.request(method, path, headers=with_key(reader))
            assert refused.status_code == 403, (method, path)


ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
"""For what does not depend on the database."""
OTHERWISE_WRITTEN = (
    "//v1/simulations",
    "/v1//simulations",
    "/V1/Simulations",
    "/v1/simulations/",
    "/%76%31/devices",
    "/healthz/../v1/simulations",
    "/docs/",
    "/docs%2f..%2fv1/devices",
    "/healthz;/v1/devices",
    "/metrics?/healthz",
    "/openapi.json/",
    "/redoc",
)


@ON_SQLITE
def test_no_way_of_writing_a_call_leads_past_the_guard(guarded):
    for path in OTHERWISE_WRITTEN:
        for method in ("GET", "HEAD", "OPTIONS", "POST", "DELETE", "get", "PROPFIND"):
            # The client undoes the percent-encoding, as a server does.
            answer = guarded.request(method, f"http://testserver{path}")
            assert answer.status_code == 401, (method, path)


@ON_SQLITE
def test_a_key_in_the_address_is_none(guarded):
    """Addresses are written to logs."""
    answer = guarded.get("/v1/devices", params={"api_key": make_key().text})
    assert answer.status_code == 401
    assert "never in the address" in answer.json()["detail"]


@ON_SQLITE
def test_no_websocket_gets_in(guarded):
    with pytest.raises(WebSocketDisconnect), guarded.websocket_connect("/v1/events"):
        pass


@ON_SQLITE
async def test_a_scope_of_another_version_permits_nothing(guarded, database):
    key = await key_of(database, "read")
    async with database.write() as session:
        await session.execute(update(ApiKey).values(scopes=["superuser"]))
    refused = guarded.get("/v1/devices", headers=with_key(key))
    assert refused.status_code == 403


@ON_SQLITE
async def test_no_cache_between_may_keep_what_a_key_was_answered(guarded, database):
    key = await key_of(database, "read")
    answer = guarded.get("/v1/devices", headers={"X-API-Key": key.text})
    assert answer.headers["cache-control"] == "private, no-cache"


async def test_what_is_routine_is_noted_where_it_goes_wrong(settings, database):
    app = guarded_app(settings)

    @app.post("/v1/gateway/beat", dependencies=[Depends(routine)])
    async def beat(status: int) -> Response:
        return Response(status_code=status)

    key = await key_of(database, "worker")
    with TestClient(app) as client:
        for status in (200, 204, 409):
            client.post("/v1/gateway/beat", params={"status": status}, headers=with_key(key))
    async with database.read() as session:
        assert list(await session.scalars(select(AuditEntry.status))) == [409]


async def test_a_reader_reads_and_a_writer_writes(guarded, database):
    reader, writer = await key_of(database, "read"), await key_of(database, "write")
    assert guarded.get("/v1/simulations", headers=with_key(reader)).status_code == 200
    refused = guarded.post("/v1/simulations", json=BODY, headers=with_key(reader))
    assert refused.status_code == 403
    assert "write" in refused.json()["detail"]
    assert guarded.get("/v1/simulations", headers=with_key(writer)).json()["items"] == []
    posted = guarded.post("/v1/simulations", json=BODY, headers={"X-API-Key": writer.text})
    assert posted.status_code == 202


async def test_a_worker_key_reads_nothing(guarded, database):
    worker = await key_of(database, "worker")
    assert guarded.get("/v1/simulations", headers=with_key(worker)).status_code == 403


async def test_expired_unknown_and_altered_keys_are_refused(guarded, database):
    expired = await key_of(database, "admin", expires_at=utc_now() - timedelta(seconds=1))
    valid = await key_of(database, "admin")
    altered = f"hr_{valid.prefix}_{make_key().text.split('_', 2)[2]}"
    for text in (expired.text, make_key().text, altered, "nonsense", "hr_\u00e9"):
        answer = guarded.get("/v1/devices", headers={"Authorization": f"Bearer {text}".encode()})
        assert answer.status_code == 401


async def test_a_revoked_key_is_refused_even_where_none_is_needed(client, database):
    key = await key_of(database, "read")
    async with database.write() as session:
        await revoke(session, key.prefix)
    assert client.get("/v1/devices").status_code == 200
    assert client.get("/v1/devices", headers=with_key(key)).status_code == 401


async def test_use_is_noted_and_the_key_itself_is_nowhere_in_the_database(guarded, database):
    key = await key_of(database, "write")
    guarded.post("/v1/simulations", json=BODY, headers=with_key(key))
    async with database.read() as session:
        (row,) = await all_keys(session)
        assert row.last_used_at is not None
        for table in (ApiKey, AuditEntry):
            for each in (await session.execute(select(*table.__table__.columns))).all():
                assert key.text.split("_", 2)[2] not in str(each)


async def test_writes_are_noted_with_who_made_them(guarded, database):
    key, reader = await key_of(database, "write"), await key_of(database, "read")
    made = guarded.post("/v1/simulations", json=BODY, headers=with_key(key))
    guarded.delete(made.headers["location"], headers=with_key(reader))
    guarded.post("/v1/simulations", json=BODY)
    guarded.get("/v1/simulations", headers=with_key(key))
    async with database.read() as session:
        rows = list(await session.scalars(select(AuditEntry).order_by(AuditEntry.id)))
        names = {row.id: row.prefix for row in await all_keys(session)}
    # The call without a key is not among them: strangers cannot fill the database.
    assert [(row.method, row.status) for row in rows] == [("POST", 202), ("DELETE", 403)]
    assert [names[row.key_id] for row in rows] == [key.prefix, reader.prefix]
    assert rows[0].location == made.headers["location"]
    assert rows[0].request_id == made.headers["x-request-id"]


async def test_a_rate_is_kept_for_each_key(settings, database):
    app = create_app(settings.model_copy(update={"auth": "on", "rate_limit": "3/minute"}))
    one, other = await key_of(database, "read"), await key_of(database, "read")
    with TestClient(app) as client:
        answers = [client.get("/v1/devices", headers=with_key(one)) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert client.get("/v1/devices", headers=with_key(other)).status_code == 200
        assert client.get("/healthz").status_code == 200


@ON_SQLITE
async def test_a_key_may_have_a_rate_of_its_own(settings, database):
    app = guarded_app(settings, rate_limit="1/minute")
    fast, other = await key_of(database, "read", rate="2/hour"), await key_of(database, "read")
    with TestClient(app) as client:
        answers = [client.get("/v1/devices", headers=with_key(fast)) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"calls";q=2;w=3600'}
        assert answers[0].headers["ratelimit"].startswith('"calls";r=1;t=')
        assert answers[2].headers["ratelimit"].startswith('"calls";r=0;t=')
        assert client.get("/v1/devices", headers=with_key(other)).status_code == 200
        # What is refused counts as well.
        assert client.post("/v1/devices", headers=with_key(other)).status_code == 429


def test_headers_of_answers(client):
    answer = client.get("/v1/devices")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "access-control-allow-origin" not in answer.headers


def test_pages_of_named_origins_may_call(sqlite_settings):
    origin = "https://dashboard.example"
    app = create_app(sqlite_settings.model_copy(update={"auth": "on", "cors_origins": [origin]}))
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    with TestClient(app) as client:
        allowed = client.options("/v1/simulations", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == origin
        other = client.options(
            "/v1/simulations", headers={**asked, "Origin": "https://evil.example"}
        )
        assert "access-control-allow-origin" not in other.headers
        # A browser must be able to read why it was refused.
        refused = client.get("/v1/devices", headers={"Origin": origin})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
     ("10.0.0.4", False), ("gpu-box", False)],
)  # fmt: skip
def test_what_loopback_is(host, loopback):
    assert is_loopback(host) is loopback


def test_keys_are_made_listed_and_revoked(sqlite_settings, monkeypatch):
    for name, value in sqlite_settings.as_environment().items():
        monkeypatch.setenv(name, value)
    run = CliRunner().invoke
    limits = ["--owner", "vision", "--max-pending", "7", "--rate", "5/second"]
    arguments = ["a person", "--scope", "read", "--expires", "2d", *limits]
    made = run(application, ["keys", "create", *arguments])
    assert made.exit_code == 0, made.output
    text = made.stdout.strip()
    prefix = prefix_of(text)
    listed = run(application, ["keys", "list", "--json"]).stdout
    assert prefix in listed
    (shown,) = json.loads(listed)
    assert (shown["owner"], shown["max_pending"], shown["rate"]) == ("vision", 7, "5/second")
    assert "vision" in run(application, ["keys", "list"]).stdout
    assert text not in listed
    app = create_app(sqlite_settings.model_copy(update={"auth": "on"}))
    with TestClient(app) as client:
        headers = {"Authorization": f"Bearer {text}"}
        assert client.get("/v1/devices", headers=headers).status_code == 200
    assert run(application, ["keys", "revoke", prefix]).exit_code == 0
    assert '"revoked"' in run(application, ["keys", "list", "--json"]).stdout
    engine = sqlalchemy.create_engine(sqlite_settings.url)
    with engine.connect() as connection:
        (row,) = connection.execute(select(ApiKey.__table__)).all()
    assert text not in str(row)
    engine.dispose()


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--rate", "often", "600/minute"), ("--rate", "0/minute", "600/minute"),
     ("--rate", "1/second;2/minute", "600/minute"), ("--owner", "", "1 to 100"),
     ("--max-pending", "0", "max-pending"), ("--scope", "root", "admin")],
)  # fmt: skip
def test_wrong_options_of_a_key_are_named(option, value, said):
    refused = CliRunner().invoke(application, ["keys", "create", "a person", option, value])
    assert refused.exit_code != 0
    assert said in refused.output + str(refused.exception)


async def test_a_database_that_is_away_is_a_503_with_a_problem(guarded, database, monkeypatch):
    key = await key_of(database, "read")

    async def away(*_):
        raise OperationalError("SELECT", {}, Exception("connection refused"))

    monkeypatch.setattr(repository, "identify", away)
    answer = guarded.get("/v1/devices", headers=with_key(key))
    assert answer.status_code == 503
    assert answer.json()["type"] == "not-ready"
    assert answer.headers["retry-after"] == "5"
