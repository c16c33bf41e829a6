"""Acts of a state machine whose odds are set by hand: hypothesis' own rules are drawn so that most are seldom seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

__all__ = ["Acting", "act"]

F = TypeVar("F", bound=Callable[..., None])


@dataclass(frozen=True, kw_only=True)
class _Act:
    when: Callable[[Any], object]
    odds: int
    arguments: dict[str, st.SearchStrategy[Any]]


def act(when: Callable[[Any], object], *, odds: int = 4, **arguments: st.SearchStrategy[Any]) -> Callable[[F], F]:
    """Make a method something that may happen `when` that is so, with these arguments drawn; 4 are the usual odds."""

    def marked(method: F) -> F:
        method.act = _Act(when=when, odds=odds, arguments=arguments)  # type: ignore[attr-defined]
        return method

    return marked


class Acting(RuleBasedStateMachine):
    """A state machine of which each step is one act."""

    @rule(data=st.data())
    def happen(self, data: st.DataObject) -> None:
        """Draw an act that may be, and do it."""
        acts = {name: method.act for name, method in vars_of(type(self)).items() if hasattr(method, "act")}
        possible = {name: act for name, act in acts.items() if act.when(self)}
        name = data.draw(st.sampled_from([name for name, act in possible.items() for _ in range(act.odds)]))
        getattr(self, name)(**data.draw(st.fixed_dictionaries(possible[name].arguments), label=name))


def vars_of(kind: type) -> dict[str, Any]:
    """Give what a class and those above it define."""
    return {name: value for each in reversed(kind.__mro__) for name, value in vars(each).items()}
