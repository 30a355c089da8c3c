"""Whose a row is: who sees it, who may change it, and what an owner's request finds."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, update
from starlette.testclient import TestClient

from app.jobs import lifecycle
from app.models import Event, JobStatus, Run, Simulation, Worker
from planner.devices import BUILTIN
from tests.app.fakes import PLAN, PREDICTION, body, plan_body
from tests.app.keys import As, guarded_app, headers_of
from tests.app.test_design_searches import search_body
from tests.app.test_simulations import finish

URL = "/v1/simulations"
SHARED = {"shared": "true"}
BODIES = {
    "/v1/simulations": body(),
    "/v1/plans": plan_body(),
    "/v1/design-searches": search_body(),
}


@pytest.fixture
def service(settings):
    with TestClient(guarded_app(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
async def x(service, database):
    return As(service, await headers_of(database, owner="x"))


@pytest.fixture
async def y(service, database):
    return As(service, await headers_of(database, owner="y"))


@pytest.fixture
async def admin(service, database):
    return As(service, await headers_of(database, "admin", owner="operations"))


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


def posted(caller, **rest):
    answer = caller.post(URL, **{"json": body(), **rest})
    assert answer.status_code in (200, 202), answer.text
    return answer.json()["id"]


on_sqlite = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
"""For what does not depend on the database."""


@on_sqlite
class TestSeeing:
    @pytest.mark.parametrize("url", BODIES)
    async def test_what_is_posted_is_there_for_its_owner_and_admins_only(
        self, service, database, x, y, admin, url
    ):
        made = x.post(url, json=BODIES[url]).json()
        assert (made["owner"], made["shared"]) == ("x", False)
        location = f"{url}/{made['id']}"
        reader = As(service, await headers_of(database, "read", owner="x"))
        for sees in (x, reader, admin):
            assert sees.get(location).json()["id"] == made["id"]
            assert ids(sees.get(url)) == [made["id"]]
        assert ids(y.get(url)) == []
        refused = [
            y.get(location),
            y.delete(location),
            y.patch(location, json={"shared": True}),
            *(y.get(f"{location}/{part}") for part in ("timeline", "graph")),
            y.get(f"{location}/export", params={"format": "graphml"}),
        ]
        assert {answer.status_code for answer in refused} == {404}
        assert x.get(location).json() == made

    def test_what_is_shared_is_seen_and_not_changed_by_others(self, x, y):
        location = f"{URL}/{posted(x, params=SHARED)}"
        assert y.get(location).json()["owner"] == "x"
        assert len(ids(y.get(URL))) == 1
        for refused in (y.delete(location), y.patch(location, json={"shared": False})):
            assert refused.status_code == 403
            assert refused.json()["type"] == "forbidden"
            assert "'x'" in refused.json()["detail"]
        before = x.get(location).headers["etag"]
        hidden = x.patch(location, json={"shared": False})
        assert hidden.json()["shared"] is False
        assert hidden.headers["etag"] != before
        assert y.get(location).status_code == 404
        assert x.delete(location).json()["status"] == "cancelled"

    def test_what_is_wrong_in_a_change_is_named(self, x):
        location = f"{URL}/{posted(x)}"
        refused = x.patch(location, json={"shared": "perhaps", "owner": "y"})
        assert refused.status_code == 422
        assert {error["pointer"] for error in refused.json()["errors"]} == {"/shared", "/owner"}

    async def test_what_has_no_owner_is_seen_by_all_and_deleted_by_admins(
        self, database, x, y, admin
    ):
        """As everything that was stored before there were owners."""
        simulation_id = posted(x)
        async with database.write() as session:
            await session.execute(update(Simulation).values(owner=None))
        assert ids(x.get(URL)) == ids(y.get(URL)) == [simulation_id]
        assert x.delete(f"{URL}/{simulation_id}").status_code == 403
        assert admin.delete(f"{URL}/{simulation_id}").status_code == 200

    def test_lists_tell_owners_apart(self, x, y, admin):
        mine, theirs = posted(x), posted(y, json=body(n=2), params=SHARED)
        assert ids(x.get(URL)) == [theirs, mine]
        assert ids(x.get(URL, params={"mine": "true"})) == [mine]
        assert ids(x.get(URL, params={"owner": "y"})) == [theirs]
        assert ids(y.get(URL, params={"owner": "x"})) == []
        assert ids(admin.get(URL, params={"owner": "x"})) == [mine]
        assert ids(x.get(URL, params={"shared": "true"})) == [theirs]

    async def test_a_service_may_share_unless_told_otherwise(self, settings, database):
        app = guarded_app(settings, share_by_default=True)
        with TestClient(app) as client:
            x = As(client, await headers_of(database, owner="x"))
            y = As(client, await headers_of(database, owner="y"))
            seen = posted(x)
            posted(x, json=body(n=2), params={"shared": "false"})
            assert ids(y.get(URL)) == [seen]

    async def test_where_no_key_is_needed_everybody_sees_everything(self, client, database):
        x = As(client, await headers_of(database, owner="x"))
        simulation_id = posted(x)
        y = As(client, await headers_of(database, owner="y"))
        assert ids(client.get(URL)) == ids(y.get(URL)) == [simulation_id]
        assert client.delete(f"{URL}/{simulation_id}").status_code == 200


class TestIdenticalRequests:
    def test_each_owner_has_their_own(self, x, y):
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda n: posted((x, y)[n % 2]), range(16)))
        assert len(set(answers[::2])) == len(set(answers[1::2])) == 1
        assert len(set(answers)) == 2

    async def test_a_shared_one_answers_others_once_it_has_succeeded(self, database, x, y):
        theirs = posted(x, params=SHARED)
        own = posted(y)
        assert own != theirs  # x might cancel it
        y.delete(f"{URL}/{own}")
        await finish(database, theirs)
        again = y.post(URL, json=body())
        assert (again.status_code, again.json()["id"]) == (200, theirs)
        x.patch(f"{URL}/{theirs}", json={"shared": False})
        assert posted(y) not in (theirs, own)

    async def test_ones_own_comes_before_a_shared_one(self, database, x, y):
        own, theirs = posted(y), posted(x)
        await finish(database, theirs)
        x.patch(f"{URL}/{theirs}", json={"shared": True})
        assert posted(y) == own

    def test_asking_to_share_shares_what_is_stored(self, x, y):
        first = posted(x)
        assert posted(x, params=SHARED) == first
        assert ids(y.get(URL)) == [first]
        assert posted(x, params={"shared": "false"}) == first
        assert ids(y.get(URL)) == [first]

    def test_idempotency_keys_are_their_owners(self, x, y):
        key = {"Idempotency-Key": "one"}
        mine = posted(x, headers=key)
        assert posted(y, headers=key, json=body(n=2)) != mine
        assert posted(x, headers=key) == mine
        other_body = x.post(URL, headers=key, json=body(n=3))
        assert other_body.json()["type"] == "idempotency-key-reused"

    async def test_a_key_does_not_lead_to_what_is_no_longer_seen(self, database, x, y):
        key = {"Idempotency-Key": "one"}
        theirs = posted(x, params=SHARED)
        await finish(database, theirs)
        assert posted(y, headers=key) == theirs
        x.patch(f"{URL}/{theirs}", json={"shared": False})
        own = posted(y, headers=key)
        assert own != theirs
        assert posted(y, headers=key) == own


@on_sqlite
class TestReferences:
    @pytest.mark.parametrize("table", ["simulation", "plan"])
    async def test_only_what_is_seen_can_be_run(self, database, x, y, table):
        url, field = f"/v1/{table}s", f"{table}_id"
        subject = x.post(url, json=BODIES[url]).json()["id"]
        async with database.write() as session:
            job = (await lifecycle.claim(session, subject, "nobody", 3)).job
            if table == "plan":
                job.plan, job.feasible = PLAN, True
            else:
                job.prediction = PREDICTION
            await lifecycle.finish(session, job, JobStatus.SUCCEEDED)
        refused = y.post("/v1/runs", json={field: subject})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == f"/{field}"
        x.patch(f"{url}/{subject}", json={"shared": True})
        run = y.post("/v1/runs", json={field: subject}).json()
        assert (run["owner"], run["shared"]) == ("y", False)
        assert x.get(f"/v1/runs/{run['id']}").status_code == 404
        assert ids(x.get("/v1/runs")) == []

    def test_a_posted_device_is_its_owners(self, x, y):
        profile = BUILTIN["cpu"].model_copy(update={"name": "lab-box"}).model_dump(mode="json")
        made = x.post("/v1/devices", json=profile)
        assert (made.status_code, made.json()["owner"]) == (201, "x")
        url, on_it = made.headers["location"], {**body(), "device": "lab-box"}
        assert x.post(URL, json=on_it).status_code == 202
        assert y.get(url).status_code == 404
        assert y.patch(url, json={"shared": True}).status_code == 404
        assert "lab-box" not in y.get("/v1/devices").text
        refused = y.post(URL, json=on_it)
        assert refused.status_code == 422
        assert "lab-box" not in refused.json()["errors"][0]["remedy"]
        assert y.post("/v1/devices", json=profile).status_code == 409
        assert x.patch(url, json={"shared": True}).json()["shared"] is True
        assert y.patch(url, json={"shared": False}).status_code == 403
        assert y.get(url).json()["owner"] == "x"
        assert y.post(URL, json=on_it).status_code == 202
        assert x.patch("/v1/devices/cpu", json={"shared": False}).status_code == 403

    async def test_workers_show_jobs_to_those_who_see_them(self, database, x, y, admin):
        mine = posted(x)
        async with database.write() as session:
            session.add(
                Worker(
                    id="w", state="online", run_queue="q", simulates=True, hostname="h", pid=1,
                    labels={}, device={}, versions={}, jobs=[mine, "run_gone"],
                )
            )  # fmt: skip

        def seen(caller):
            (shown,) = caller.get("/v1/workers").json()["items"]
            return shown["state"], shown["jobs"]

        assert seen(x) == ("busy", [mine])
        assert seen(y) == ("busy", [])
        assert seen(admin) == ("busy", [mine, "run_gone"])

    async def test_events_say_whose_they_are(self, database, x):
        gone = posted(x, params=SHARED)
        x.delete(f"{URL}/{gone}")
        x.delete(f"{URL}/{gone}")
        async with database.read() as session:
            events = list(await session.scalars(select(Event).order_by(Event.id)))
            assert (await session.scalars(select(Run.id))).all() == []
        assert [event.data["status"] for event in events] == ["queued", "cancelled", "deleted"]
        assert {(event.owner, event.shared) for event in events} == {("x", True)}


def calls_about(document, made):
    """Every call of the document, with an id of the kind that it is about in its path; with one of
    each where that is none of these kinds.
    """
    for path, item in document["paths"].items():
        ids = [made_id for url, made_id in made.items() if path.startswith(f"{url}/")]
        for made_id in ids or made.values():
            filled = re.sub(r"\{[^}]*\}", made_id, path)
            yield from ((method, filled, bool(ids)) for method in item)
            if filled == path:
                break


@on_sqlite
async def test_no_call_shows_or_changes_what_another_does_not_see(service, database, x, y):
    """Also calls that are added after this was written."""
    made = {url: x.post(url, json=BODIES[url]).json()["id"] for url in BODIES}
    await finish(database, simulation_id := made[URL])
    made["/v1/runs"] = x.post("/v1/runs", json={"simulation_id": simulation_id}).json()["id"]
    profile = BUILTIN["cpu"].model_copy(update={"name": "lab-box"}).model_dump(mode="json")
    made["/v1/devices"] = x.post("/v1/devices", json=profile).json()["name"]
    before = {url: x.get(f"{url}/{made_id}").json() for url, made_id in made.items()}
    document = service.get("/openapi.json").json()
    asked = 0
    for method, path, is_about_one in calls_about(document, made):
        if path == "/v1/events" or method == "post":
            continue
        answer = y.request(method=method, url=path, json={"shared": True})
        if answer.status_code == 422:
            answer = y.request(method=method, url=path, params={"format": "graphml"})
        assert not is_about_one or answer.status_code == 404, (method, path)
        if answer.is_success:
            assert not [made_id for made_id in made.values() if made_id in answer.text], path
        asked += is_about_one
    assert asked > 20
    assert {url: x.get(f"{url}/{made_id}").json() for url, made_id in made.items()} == before


SWEEP = {**body(), "vary": [{"pointer": "/model/config/n", "values": [1, 2]}]}


@on_sqlite
async def test_a_sweep_and_its_simulations_are_its_owners(service, database, y):
    x = As(service, await headers_of(database, owner="x", max_pending=2))
    made = x.post("/v1/sweeps", json=SWEEP)
    assert made.status_code == 202, made.text
    url = made.headers["location"]
    assert made.json()["owner"] == "x"
    assert y.get(url).status_code == y.delete(url).status_code == 404
    assert ids(y.get("/v1/sweeps")) == ids(y.get(URL)) == []
    assert len(ids(x.get(URL, params={"mine": "true"}))) == 2
    larger = {**SWEEP, "vary": [{"pointer": "/model/config/n", "values": [3, 4]}]}
    assert x.post("/v1/sweeps", json=larger).status_code == 429
    assert len(ids(x.get("/v1/sweeps"))) == 1
    theirs = y.post("/v1/sweeps", json=SWEEP, params=SHARED).headers["location"]
    assert x.get(theirs).json()["points"][0]["simulation_id"] not in ids(
        x.get(URL, params={"mine": "true"})
    )
    assert (
        x.delete(theirs).status_code == x.patch(theirs, json={"shared": False}).status_code == 403
    )
    tag = y.get(theirs).headers["etag"]
    hidden = y.patch(theirs, json={"shared": False})
    assert hidden.json()["shared"] is False
    assert hidden.headers["etag"] == y.get(theirs).headers["etag"] != tag
    assert x.get(theirs).status_code == 404
    simulation = f"{URL}/{hidden.json()['points'][0]['simulation_id']}"
    assert x.get(simulation).status_code == 404, "what was made for it is hidden with it"
    assert y.patch(theirs, json={"shared": True}).json()["shared"] is True
    assert x.get(simulation).json()["shared"] is True
    assert x.delete(url).json()["status"] == "cancelled"
