"""A whole search, simulating in this process; a service simulates each design in a worker."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ValidationError

from planner.designs.answer import DesignSearchAnswer
from planner.designs.request import DesignSearchRequest
from planner.designs.search import DesignSearch, Outcome
from planner.errors import HeadroomError, InvalidRequest
from planner.request import SimulationRequest

Evaluate = Callable[[SimulationRequest], Outcome]


def find_design(request: DesignSearchRequest, evaluate: Evaluate) -> DesignSearchAnswer:
    """Search the space of a checked request.

    Args:
        evaluate: simulates a design; what it raises as `HeadroomError` makes it infeasible.
    """
    search = DesignSearch(request)
    while (proposal := search.ask()) is not None:
        search.tell(proposal, _outcome(search.space.body(proposal.design), evaluate))
    return search.answer()


def _outcome(body: dict[str, object], evaluate: Evaluate) -> Outcome:
    try:
        return evaluate(SimulationRequest.model_validate(body))
    except ValidationError as error:
        return Outcome(problem=str(error.errors()[0]["msg"]), refused=True)
    except InvalidRequest as error:
        return Outcome(problem=error.detail, refused=True)
    except HeadroomError as error:
        return Outcome(problem=f"{error.title}: {error.detail}")
