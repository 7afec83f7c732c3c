"""Values and graphs of objects that are made up at random, copied as pickle does it."""

from __future__ import annotations

from typing import Any

import codec_things as things
from codeckit import check
from hypothesis import given, settings
from hypothesis import strategies as st

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.complex_numbers(),
    lambda children: (
        st.lists(children, max_size=8)
        | st.lists(st.floats(), max_size=20)
        | st.lists(st.integers(-(2**70), 2**70), max_size=20)
        | st.lists(st.integers(), max_size=20)
        | st.lists(children, max_size=5).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.binary(), children, max_size=8)
        | st.sets(st.integers() | st.text() | st.tuples(st.integers(), st.text()), max_size=8)
        | st.frozensets(st.integers() | st.text(), max_size=8)
    ),
    max_leaves=40,
)


@given(plain)
@settings(max_examples=400, deadline=None)
def test_plain_values(value: Any) -> None:
    check(value)


KINDS = ("list", "dict", "tuple", "plain", "child", "stateful", "reduces", "mylist", "error", "str")


def build(kind: str, parts: list[Any], number: int) -> Any:
    """Make one object out of others."""
    if kind == "list":
        return parts
    if kind == "dict":
        return {f"key {i % 3} {number}": part for i, part in enumerate(parts)}
    if kind == "tuple":
        return tuple(parts)
    if kind == "plain":
        return things.Plain(**{f"a{i}": part for i, part in enumerate(parts)})
    if kind == "child":
        return things.Child(parts=parts, first=parts[0] if parts else None)
    if kind == "stateful":
        return things.Stateful(parts)
    if kind == "reduces":
        return things.Reduces(*parts)
    if kind == "mylist":
        return things.MyList(parts)
    if kind == "error":
        return ValueError(*parts)
    return f"text {number} of its own"


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.lists(st.integers(0, 30), max_size=4))),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=4),
)
@settings(max_examples=600, deadline=None)
def test_graphs(recipe: list[tuple[str, list[int]]], more: list[tuple[int, int]]) -> None:
    """Graphs with objects that are met several times, and cycles through what can change."""
    nodes: list[Any] = ["the first"]
    for number, (kind, parts) in enumerate(recipe):
        nodes.append(build(kind, [nodes[p % len(nodes)] for p in parts], number))
    for source, target in more:
        node = nodes[source % len(nodes)]
        if type(node) is list:
            node.append(nodes[target % len(nodes)])
        elif type(node) is things.Plain:
            node.late = nodes[target % len(nodes)]  # type: ignore[attr-defined]
    check(nodes[-1])
    check(nodes)
