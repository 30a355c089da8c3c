"""The client against the service's own description of itself."""

from __future__ import annotations

import inspect

import pytest

from app.main import create_app
from app.settings import Settings
from headroom_client import (
    AsyncClient,
    Client,
    DesignSearch,
    Plan,
    Run,
    Simulation,
    Sweep,
    SweepPoint,
    Worker,
)

_FILES = {"Timeline": "timeline", "Graph": "graph"}
_METHODS = {
    "createSimulation": "simulate",
    "createPlan": "plan",
    "createRun": "run",
    "createSweep": "sweep",
    "createDesignSearch": "search_designs",
    "createDevice": "create_device",
    "getDevice": "device",
    "updateDevice": "share_device",
    "listDevices": "devices",
    "listModels": "models",
    "listTechniques": "techniques",
    "listWorkers": "workers",
    "streamEvents": "events",
    # Of no use to a program that asks for predictions:
    "getHealth": "call",
    "getReadiness": "call",
}
_KINDS = ("Simulation", "Plan", "Run", "Sweep", "DesignSearch")
for kind in _KINDS:
    plural = "design_searches" if kind == "DesignSearch" else f"{kind.lower()}s"
    singular = "design_search" if kind == "DesignSearch" else kind.lower()
    _METHODS |= {f"get{kind}": f"get_{singular}", f"delete{kind}": "delete"}
    _METHODS[f"list{plural.title().replace('_', '')}"] = f"list_{plural}"
    _METHODS |= {f"get{kind}Timeline": "timeline", f"get{kind}Graph": "graph"}
    _METHODS |= {f"export{kind}": "export", f"update{kind}": "share"}
    _METHODS[f"get{kind}Peak"] = "peak"


@pytest.fixture(scope="module")
def document():
    return create_app(Settings()).openapi()


def test_every_call_of_the_service_has_a_method(document):
    operations = {
        operation["operationId"]: operation.get("tags", [])
        for methods in document["paths"].values()
        for operation in methods.values()
    }
    # The gateway is spoken to by workers alone.
    asked = {name for name, tags in operations.items() if "gateway" not in tags}
    missing = {name for name in asked if not hasattr(Client, _METHODS.get(name, "?"))}
    assert not missing


@pytest.mark.parametrize(
    ("resource", "schema"),
    [
        (Simulation, "SimulationResource"),
        (Plan, "PlanResource"),
        (Run, "RunResource"),
        (Sweep, "SweepResource"),
        (SweepPoint, "SweepPointResource"),
        (DesignSearch, "DesignSearchResource"),
        (Worker, "WorkerResource"),
    ],
)
def test_every_field_is_one_of_the_services(document, resource, schema):
    described = document["components"]["schemas"][schema]
    assert set(resource.model_fields) <= set(described["properties"])
    required = {name for name, field in resource.model_fields.items() if field.is_required()}
    always = {
        name
        for name, property_ in described["properties"].items()
        if name in described.get("required", []) or "default" in property_
    }
    assert required <= always, "what may be missing has a default"


def test_both_clients_have_the_same_methods():
    def public(client):
        return {
            name: inspect.signature(member)
            for name, member in inspect.getmembers(client, inspect.isfunction)
            if not name.startswith("_") and name not in ("close", "aclose")
        }

    first, second = public(Client), public(AsyncClient)
    assert first.keys() == second.keys()
    for name, signature in first.items():
        assert signature.parameters == second[name].parameters, name
