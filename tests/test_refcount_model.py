"""The protocol of reference counts, checked in all states of small configurations."""

from __future__ import annotations

import dataclasses

import pytest
from refcount_model import Model, explore


@pytest.mark.parametrize(
    "model",
    [
        Model(sends=2),
        Model(sends=3, requests=0, obtains=1),
        Model(sends=2, requests=1, obtains=0, crashes=1),
        Model(sends=2, requests=0, obtains=1, crashes=1),
        Model(sends=2, requests=0, obtains=0, crashes=2),
        Model(sends=3, requests=0, obtains=0, crashes=1),
        Model(size=4, sends=3, requests=0, obtains=0),
        Model(sends=2, requests=1, obtains=0, drafts=True),
        Model(sends=2, requests=0, obtains=0, crashes=1, drafts=True),
    ],
    ids=str,
)
def test_every_state_is_as_it_should_be(model: Model) -> None:
    assert explore(model) > 100


@pytest.mark.parametrize(
    ("mistake", "complaint"),
    [
        ("split_for_nothing", "!="),
        ("forget_refused", "!="),
        ("no_pins", "a request waits for it"),
        ("release_early", "somebody refers to it"),
        ("no_order", "a request for what was reclaimed"),
        ("grant_to_nobody", "!="),
    ],
)
def test_mistakes_are_found(mistake: str, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        explore(Model(**{mistake: True}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mistake", "complaint"),
    [
        ("forget_late", "!="),
        ("join_late", "more weight than there is"),
        ("apply_early", "!="),
        ("apply_early_joins", "never reclaimed"),
        ("learn_unread", "!="),
        ("subtract_all", "!="),
        ("ignore_drafts", "!="),
    ],
)
def test_mistakes_after_a_crash_are_found(mistake: str, complaint: str) -> None:
    drafts = mistake == "ignore_drafts"
    model = Model(sends=2, requests=0, obtains=0, crashes=1, drafts=drafts)
    with pytest.raises(AssertionError, match=complaint):
        explore(dataclasses.replace(model, **{mistake: True}))  # type: ignore[arg-type]
