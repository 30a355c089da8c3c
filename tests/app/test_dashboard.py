import gzip

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.dashboard.site import Dashboard

SCRIPT = b"export const answer = 42;"
HASHED = "index-Ab3_x-9Z.js"


def api(request):
    return PlainTextResponse("of the API", status_code=404)


@pytest.fixture
def folder(tmp_path):
    """As `npm run build` leaves it."""
    assets = tmp_path / "static" / "assets"
    assets.mkdir(parents=True)
    (assets.parent / "index.html").write_text("<!doctype html><title>Headroom</title>")
    (assets / HASHED).write_bytes(SCRIPT)
    (assets / f"{HASHED}.gz").write_bytes(gzip.compress(SCRIPT))
    (assets / "icon.svg").write_text("<svg/>")
    return assets.parent


@pytest.fixture
def client(folder):
    routes = [Route("/{path:path}", api, methods=["GET", "POST"])]
    return TestClient(Dashboard(Starlette(routes=routes), folder))


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/new",
        "/simulations",
        "/simulations/sim_1",
        "/plans/plan_1",
        "/design-searches",
        "/design-searches/search_1",
        "/runs/run_1",
        "/compare?a=x",
    ],
)
def test_every_view_is_the_page_with_its_policy(client, path):
    response = client.get(path)
    assert response.status_code == 200
    assert "<title>Headroom" in response.text
    assert response.headers["cache-control"] == "no-cache"
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert "unsafe" not in response.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    ["/v1/simulations", "/metrics", "/runs/a/b", "/newer", "/assets/none.js", "/assets/../x"],
)
def test_what_is_not_the_dashboards_is_left_to_the_api(client, path):
    assert client.get(path).text == "of the API"


def test_an_address_of_nothing_is_explained_to_people_and_to_programs(client):
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    page = client.get("/nothing", headers=browser)
    assert (page.status_code, page.headers["cache-control"]) == (404, "no-cache")
    assert "<title>Headroom" in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert client.get("/v1/nothing", headers=browser).text == "of the API"
    assert client.get("/nothing").text == "of the API"


def test_only_reading_is_answered(client):
    assert client.post("/runs").text == "of the API"
    assert client.head("/runs").status_code == 200


def test_an_unchanged_page_is_not_sent_again(client):
    tag = client.get("/").headers["etag"]
    again = client.get("/new", headers={"If-None-Match": tag})
    assert again.status_code == 304
    assert again.headers["cache-control"] == "no-cache"


def test_files_named_by_their_content_are_kept_for_ever_and_others_are_not(client):
    assert "immutable" in client.get(f"/assets/{HASHED}").headers["cache-control"]
    assert client.get("/assets/icon.svg").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("br, gzip", "gzip"), ("gzip;q=0", None), ("identity", None), ("GZIP;q=0.5", "gzip")],
)
def test_a_file_is_sent_compressed_to_who_takes_it(client, accepted, encoding):
    response = client.get(f"/assets/{HASHED}", headers={"Accept-Encoding": accepted})
    assert response.headers.get("content-encoding") == encoding
    assert response.content == SCRIPT
    assert "javascript" in response.headers["content-type"]
    assert response.headers["vary"] == "Accept-Encoding"


def test_where_it_is_not_built_the_page_says_how(tmp_path):
    routes = [Route("/{path:path}", api)]
    client = TestClient(Dashboard(Starlette(routes=routes), tmp_path / "nowhere"))
    assert "make dashboard" in client.get("/").text
    assert client.get("/assets/x.js").text == "of the API"
