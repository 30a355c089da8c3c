"""Rules of execution by op, each registered where it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch._ops import OpOverload

if TYPE_CHECKING:
    from planner.tracing.fake import FakeExecution

Rule = Callable[["FakeExecution", OpOverload, Any, Any], Any]


class RuleTable(dict[OpOverload, Rule]):
    """What stands in for fake execution of some ops: (execution, op, args, kwargs) -> result."""

    def of(self, *funcs: OpOverload) -> Callable[[Rule], Rule]:
        """Register the decorated function for these ops."""

        def register(rule: Rule) -> Rule:
            self.update(dict.fromkeys(funcs, rule))
            return rule

        return register
