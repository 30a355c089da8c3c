"""The whole way in a browser, on a real service with a real worker."""

from __future__ import annotations

import json
import os
import re
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from app.cli.embedded import embedded_service
from headroom_client import Client
from tests.browser.watched import ROOT, overflow, serious_violations

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CONFIG = {"model_type": "gpt2", "n_layer": 2, "n_embd": 96, "n_head": 4, "vocab_size": 4000}
SPACE = {
    "model": {
        "source": "transformers",
        "task": "fill-mask",
        "config": {"model_type": "bert", "vocab_size": 500, "intermediate_size": 64},
    },
    "workload": {"batch_size": 2, "sequence_length": 16},
    "transformer": {"hidden": [32, 64], "heads": [2, 3], "layers": [1, 2]},
    "objective": "score",
    "constraints": {"peak_bytes": "2MiB"},
    "evaluations": 4,
}
LONG = 240_000  # ms: a worker's first trace imports torch, and the machine may be busy
PICTURES = ROOT / "docs" / "images"
PICTURING = "HEADROOM_PICTURES" in os.environ
PICTURED = ("new", "simulation", "plan", "run", "compare", "device")
# What the README's picture shows: a workload that is too large for a card, with no such card here.
TOO_LARGE = {
    "model": {
        "source": "transformers",
        "config": {"model_type": "gpt2", "n_layer": 24, "n_embd": 1024, "n_head": 16},
    },
    "workload": {"batch_size": 8, "sequence_length": 1024, "precision": "amp-bf16"},
    "device": "rtx-4090",
}


@pytest.fixture(scope="module")
def service(chromium):
    with embedded_service() as server:
        yield server


@pytest.fixture(scope="module")
def addresses():
    """Addresses of what the journey made, by kind; the tests after it look at them."""
    return {}


def field(page: Page, label: str):
    return page.get_by_label(label, exact=True)


def byte_values(page: Page, label: str) -> int:
    """The exact bytes behind a key number."""
    figure = page.locator(".figure", has=page.get_by_text(label, exact=True))
    return int(figure.locator("data").first.get_attribute("value"))


class TestJourney:
    def test_a_config_is_pasted_mended_and_predicted(self, service, open_page, addresses):
        page = open_page(f"{service.url}/new")
        page.get_by_text("config.json", exact=True).first.click()
        config = field(page, "Configuration")

        config.fill('{"model_type": "gpt2",\n "n_head": }')
        expect(page.locator(".field-error")).to_contain_text("is not JSON")
        expect(page.get_by_role("button", name="Predict")).to_be_disabled()
        config.fill('{"model_type": "gpd2"}')
        expect(page.locator(".field-error")).to_contain_text("no model type gpd2")

        config.fill(json.dumps({**CONFIG, "n_head": 7}))
        field(page, "Batch size").fill("8")
        page.get_by_role("button", name="Predict").click()
        # What only the service can know is shown at the field too.
        expect(page.locator(".field-error")).to_contain_text("n_head")
        expect(config).to_have_attribute("aria-invalid", "true")

        config.fill(json.dumps(CONFIG, indent=2))
        expect(page.locator("pre")).to_contain_text('"n_layer": 2')
        page.get_by_role("button", name="Predict").click()
        page.wait_for_url(re.compile("/simulations/sim_"))
        expect(page.get_by_text("Peak, live")).to_be_visible(timeout=LONG)
        addresses["simulation"] = page.url

    def test_the_simulation_shows_what_the_api_says(self, service, open_page, addresses):
        page = open_page(addresses["simulation"])
        identity = addresses["simulation"].rpartition("/")[2]
        stored = service.get(f"/v1/simulations/{identity}")["prediction"]
        expect(page.get_by_text("Peak, live")).to_be_visible()
        assert byte_values(page, "Peak, live") == stored["peak_bytes"]
        expect(page.locator(".chart canvas").first).to_be_visible()

        rows = page.locator("section", has_text="Largest tensors").locator("tbody tr")
        expect(rows).to_have_count(12)
        assert int(rows.first.locator("data").get_attribute("value")) == max(
            holder["bytes"] for holder in stored["largest_at_peak"]
        )
        page.get_by_text("around the peak").click()
        page.get_by_text("step1.backward", exact=True).first.click()
        expect(page.locator(".chip[aria-pressed=true]")).to_have_text("step1.backward")

    def test_the_graph_opens_and_closes_by_keyboard(self, open_page, addresses):
        page = open_page(addresses["simulation"])
        expect(page.get_by_text("Peak, live")).to_be_visible()
        page.mouse.wheel(0, 10_000)
        page.get_by_role("button", name="Show the graph").click()
        outer = page.locator("g.box", has_text=re.compile(r"^. transformer "))
        expect(outer).to_have_attribute("aria-expanded", "true")
        before = page.locator("g.box").count()
        outer.focus()
        page.keyboard.press("Enter")
        expect(outer).to_have_attribute("aria-expanded", "false")
        assert page.locator("g.box").count() < before

    def test_a_budget_is_planned_for_and_the_frontier_looked_at(self, open_page, addresses):
        page = open_page(addresses["simulation"])
        expect(page.get_by_text("Peak, live")).to_be_visible()
        budget = int(byte_values(page, "Peak, live") * 0.7)
        page.get_by_role("link", name="Change or plan").click()
        field(page, "Memory that the step may hold").fill(str(budget))
        page.get_by_text("What the plan may do").click()
        if not PICTURING:  # a picture shows all that a plan can do, which takes longer
            field(page, "Points of the frontier").fill("2")
            for box in page.get_by_role("group", name="Techniques").get_by_role("checkbox").all():
                box.uncheck()
            page.get_by_label("micro-batches").last.check()
        page.get_by_role("button", name="Plan for the budget").click()
        page.wait_for_url(re.compile("/plans/plan_"))
        expect(page.get_by_text("✓ It fits")).to_be_visible(timeout=LONG)
        addresses["plan"] = page.url
        assert byte_values(page, "Planned peak") <= budget < byte_values(page, "Unplanned peak")

        choices = page.get_by_role("region", name="Points of the frontier").get_by_role("button")
        choices.last.click()
        expect(choices.last).to_have_attribute("aria-pressed", "true")
        page.get_by_text("Use it in a training script").click()
        expect(page.locator(".chosen pre")).to_contain_text("apply_strategy(model")

        page.get_by_role("button", name="Show the step before").click()
        expect(page.get_by_role("link", name="Without it")).to_be_visible()
        both = page.locator("section", has_text="Before and after").locator(".chart canvas")
        expect(both).to_have_count(2, timeout=LONG)

    def test_the_plan_is_run_and_the_prediction_held(self, service, open_page, addresses):
        page = open_page(addresses["plan"])
        page.get_by_role("button", name="Run for real").click()
        page.wait_for_url(re.compile("/runs/run_"))
        verdict = page.locator(".verdict-good")
        expect(verdict).to_contain_text(re.compile("held|Exact"), timeout=LONG)
        addresses["run"] = page.url
        run = service.get(f"/v1/runs/{page.url.rpartition('/')[2]}")
        assert byte_values(page, "Measured peak") == run["measured"]["peak_bytes"]
        assert byte_values(page, "Predicted peak") == run["predicted"]["peak_bytes"]
        rows = page.locator("section", has_text="Phase by phase").locator("tbody tr")
        expect(rows).to_have_count(len(run["phases"]))
        expect(page.get_by_text("the same")).to_be_visible()

    def test_the_runs_show_predicted_beside_measured_and_the_worker(self, open_page, addresses):
        page = open_page(addresses["run"].rpartition("/")[0])
        row = page.get_by_role("region", name="Runs").locator("tbody tr").first
        expect(row).to_contain_text("gpt2")
        predicted, measured = (
            int(data.get_attribute("value")) for data in row.locator("data").all()
        )
        assert abs(predicted - measured) < 0.01 * measured
        expect(page.get_by_role("region", name="Workers")).to_contain_text("online")
        groups = page.get_by_role("region", name="Errors by device and model type")
        expect(groups.locator("tbody tr")).to_have_count(1)

    def test_a_run_of_someone_else_appears_by_itself(self, service, open_page, addresses):
        page = open_page(f"{service.url}/runs")
        rows = page.get_by_role("region", name="Runs").locator("tbody tr")
        expect(rows).to_have_count(1)
        service.run(addresses["simulation"].rpartition("/")[2], {}, lambda *_: None)
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text("succeeded")

    def test_lists_are_filtered_by_their_address(self, service, open_page, addresses):
        page = open_page(f"{service.url}/simulations")
        rows = page.get_by_role("region", name="Simulations").locator("tbody tr")
        expect(rows.first).to_contain_text("gpt2")
        page.get_by_label("Model type").fill("bert")
        page.keyboard.press("Enter")
        expect(page.get_by_text("No simulation matches")).to_be_visible()
        assert page.url.endswith("?model_type=bert")
        page.go_back()

    def test_a_design_search_is_followed_and_its_designs_sorted(
        self, service, open_page, addresses
    ):
        with Client(service.url) as client:
            search = client.search_designs(SPACE, wait=0)
            page = open_page(f"{service.url}/design-searches/{search.id}")
            expect(page.get_by_text("✓ Best score")).to_be_visible(timeout=LONG)
            search = client.get_design_search(search.id)
        addresses["search"] = page.url
        assert search.best is not None
        expect(page.locator(".chart canvas")).to_be_visible()
        rows = page.get_by_role("region", name="Designs", exact=True).locator("tbody tr")
        expect(rows).to_have_count(len(search.designs))
        expect(rows.first).to_contain_text("✓ the best")
        # What breaks a limit, and what cannot be built, is there and says so.
        refused = [each for each in search.designs if not each.feasible]
        assert any(each.metrics for each in refused)
        expect(rows.filter(has_text="✕ no")).to_have_count(len(refused))
        beyond = [
            each.expected is not None and each.expected.extrapolated for each in search.designs
        ]
        expect(rows.filter(has_text="⤳ extrapolated")).to_have_count(sum(beyond))

        page.get_by_role("button", name="Peak", exact=True).focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        assert page.url.endswith("?sort=-peak_bytes")
        page.reload()  # the address has the order
        most = max(each.metrics.peak_bytes for each in search.designs if each.metrics)
        expect(rows.first.locator("data").first).to_have_attribute("value", str(most))
        rows.first.get_by_role("link").click()
        page.wait_for_url(re.compile("/simulations/sim_"))
        expect(page.get_by_text("Peak, live")).to_be_visible()
        assert byte_values(page, "Peak, live") == most

    def test_a_thing_that_there_is_not_is_explained(self, service, open_page):
        page = open_page(f"{service.url}/simulations/sim_0")
        expect(page.get_by_role("alert")).to_contain_text("there is no simulation")
        page.get_by_role("link", name="See what there is").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Simulations")
        page.goto(f"{service.url}/nothing")
        expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page")

    def test_a_page_that_does_not_come_is_explained(self, service, open_page):
        page = open_page(f"{service.url}/")
        page.route("**/assets/*.js", lambda route: route.fulfill(status=404))
        page.get_by_role("link", name="Compare").click()
        expect(page.get_by_role("alert")).to_contain_text("could not be loaded")


def views(service, addresses) -> dict[str, str]:
    simulation = addresses["simulation"].rpartition("/")[2]
    request = service.get(f"/v1/simulations/{simulation}")["request"]
    checkpointed = {**request["strategy"], "checkpointing": "full"}
    other = service.simulate({**request, "strategy": checkpointed}, lambda _: None)["id"]
    return {
        "home": f"{service.url}/",
        "new": f"{service.url}/new?from={simulation}",
        "simulations": f"{service.url}/simulations",
        "simulation": addresses["simulation"],
        "plans": f"{service.url}/plans",
        "plan": addresses["plan"],
        "design-searches": f"{service.url}/design-searches",
        "design-search": addresses["search"],
        "runs": f"{service.url}/runs",
        "run": addresses["run"],
        "compare": f"{service.url}/compare?a={simulation}&b={other}",
    }


def settle(page: Page) -> None:
    """Until everything that was asked for is there, what is further down included."""
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator(".loading")).to_have_count(0)


class TestEveryView:
    def test_is_accessible_in_both_themes(self, service, open_page, addresses):
        found: dict[str, list[str]] = {}
        page = open_page(f"{service.url}/")
        for name, address in views(service, addresses).items():
            page.goto(address)
            settle(page)
            take_picture(page, name)
            unfold(page)
            for theme in ("light", "dark"):
                page.emulate_media(color_scheme=theme)
                found[f"{name}, {theme}"] = serious_violations(page)
        assert {view: violations for view, violations in found.items() if violations} == {}
        if PICTURING:
            too_large = service.simulate(TOO_LARGE, lambda _: None)["id"]
            page.goto(f"{service.url}/simulations/{too_large}")
            settle(page)
            take_picture(page, "device")

    def test_fits_a_phone_without_scrolling_sideways(self, service, open_page, addresses):
        phone = {"width": 360, "height": 740}
        page = open_page(f"{service.url}/", viewport=phone, has_touch=True, is_mobile=True)
        too_wide = {}
        for name, address in views(service, addresses).items():
            page.goto(address)
            settle(page)
            unfold(page)
            too_wide[name] = overflow(page)
        assert {name: pixels for name, pixels in too_wide.items() if pixels} == {}


def unfold(page: Page) -> None:
    """Open whatever is closed at first."""
    page.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = true))")
    graph = page.get_by_role("button", name="Show the graph")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    if re.search("/(simulations|plans)/", page.url):
        graph.click()
        expect(page.locator("g.box").first).to_be_visible()


def take_picture(page: Page, name: str) -> None:
    """For the documents, where HEADROOM_PICTURES is set: they are committed."""
    if PICTURING and name in PICTURED:
        PICTURES.mkdir(exist_ok=True)
        page.emulate_media(color_scheme="light")
        page.set_viewport_size({"width": 1280, "height": 960})
        page.wait_for_timeout(1_000)
        picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
        picture.quantize(160).save(PICTURES / f"dashboard-{name}.png", optimize=True)
