"""The codec against pickle: the same copies, the same hooks, the same refusals."""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import fractions
import functools
import io
import operator
import os
import pathlib
import pickle
import re
import sys
import sysconfig
import threading
import types
import uuid
from collections.abc import Callable
from typing import Any

import codec_things as things
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pygas
from pygas._job import core


def dumps(obj: Any) -> bytes:
    return core().dumps(obj)  # type: ignore[no-any-return]


def loads(data: bytes) -> Any:
    return core().loads(data)


def copied(obj: Any) -> Any:
    return loads(dumps(obj))


def pickled(obj: Any) -> Any:
    return pickle.loads(pickle.dumps(obj, 5))


def check(obj: Any) -> Any:
    """Check that the codec copies `obj` as pickle does."""
    twin = copied(obj)
    things.assert_twins(pickled(obj), twin)
    return twin


def with_slots() -> Any:
    slots, both = things.Slots(), things.SlotsAndDict()
    slots.a = [1]
    both.a, both.b, both.c = 1, slots, 2  # type: ignore[attr-defined]
    return [slots, both]


def everything() -> Any:
    made = things.Everything()
    made.items, made.pairs = list(range(2500)), {i: str(i) for i in range(1200)}
    return made


EXAMPLES: dict[str, Callable[[], Any]] = {
    "numbers": lambda: [0, 1, -1, 127, 128, -128, -129, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1],
    "large numbers": lambda: [2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 7**1000, -(7**1000)],
    "floats": lambda: [0.0, -0.0, 1.5, float("inf"), float("-inf"), float("nan"), 5e-324],
    "constants": lambda: [None, True, False, ..., NotImplemented, 1j, -0.0j],
    "their types": lambda: [type(None), type(...), type(NotImplemented), bool, int, type],
    "texts": lambda: [
        "",
        "a",
        "é",
        "ab",
        "éa",
        "漢字",
        "😀a",
        "\0",
        "\ud800",
        "x" * 300,
        "é" * 254,
    ],
    "long texts": lambda: [c * n for c in "aé漢😀" for n in (31, 32, 33, 254, 255, 256, 70_000)],
    "bytes": lambda: [b"", b"a", b"ab" * 300, bytearray(), bytearray(b"ab" * 500)],
    "tuples": lambda: [(), (1,), (1, (2, (3,))), tuple(range(300))],
    "lists of floats": lambda: [[1.5] * 5, [float(i) for i in range(1000)], [1.5] * 9 + [1]],
    "lists of ints": lambda: [
        [1, 2, 3, 4, 5],
        [-128, 127] * 5,
        [128] * 5,
        [-32769] * 5,
        [2**31] * 5,
        [2**62, -(2**63)] * 4,
        [2**64] * 5,
        [1] * 9 + [2**64],
        [1, 2, 3, 4, True],
        list(range(1000)),
    ],
    "dicts": lambda: [{}, {1: 2}, {"a": {"b": ()}}, {i: str(i) for i in range(400)}],
    "keys": lambda: {1: 1, 1.5: 2, None: 3, (1, "x"): 4, frozenset([1]): 5, b"k": 6, "k": 7},
    "sets": lambda: [set(), {1, 2}, frozenset(), frozenset([1, "x"]), {(1, 2), frozenset([3])}],
    "slices": lambda: [slice(None), slice(1, 2, 3), slice("a", [1], None), range(5), range(2**70)],
    "instances": lambda: [things.Plain(), things.Plain(a=1, b=[2]), things.Child(x={})],
    "many instances": lambda: [things.Point(i, i * 0.5, f"p{i}") for i in range(300)],
    "frozen": lambda: [things.Frozen(1), things.SlottedPoint(1, 2)],
    "slots": with_slots,
    "enums": lambda: [things.Colour.RED, things.Colour.BLUE, things.Flags.A | things.Flags.B],
    "named tuples": lambda: [things.Pair(1, [2]), os.stat("/")],
    "subclasses": lambda: [
        things.MyList([1, 2]),
        things.MyDict(a=1),
        things.MyInt(5),
        things.MyStr("s"),
        things.MyTuple((1, 2)),
        things.MySet([1, 2]),
    ],
    "long subclasses": lambda: [things.MyList(range(2001)), things.MyDict.fromkeys(range(1001))],
    "stateful": lambda: [things.Stateful([1]), things.OnlySetstate(a=1), things.OnlySetstate()],
    "no state": lambda: things.Falsy(a=1),
    "new arguments": lambda: [things.NewArgs([1], key="k"), things.OldNewArgs(7)],
    "reductions": lambda: [things.Reduces(1, [2]), things.ReducesEx("a")],
    "setter": lambda: things.WithSetter(a=1, b=2),
    "every part": everything,
    "by name": lambda: [things.THE_ONE, things.function, things.Plain, things.Outer.Inner, len],
    "nested class": lambda: things.Outer.Inner(a=1),
    "registered": lambda: things.Registered(a=1),
    "elusive": lambda: things.Elusive(a=1),
    "metaclass": lambda: [things.WithMeta, things.WithMeta(a=1)],
    "hook in the instance": lambda: [things.Plain(a=1), things.Plain(b=2)],
    "exceptions": lambda: [ValueError("x", [1]), KeyError(), things.Fussy(1, 2), StopIteration(3)],
    "system errors": lambda: [OSError(2, "no", "file"), FileNotFoundError(2, "no", "f")],
    "odd exceptions": lambda: [
        UnicodeDecodeError("utf-8", b"x", 0, 1, "why"),
        ImportError("x", name="n", path="p"),
        SystemExit(3),
        ExceptionGroup("several", [ValueError(1), TypeError("two")]),
    ],
    "dates": lambda: [datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)] * 2,
    "library": lambda: [
        collections.OrderedDict(a=1),
        collections.Counter("abca"),
        collections.defaultdict(list, {1: [2]}),
        collections.deque([1, [2]], 5),
        decimal.Decimal("1.50"),
        fractions.Fraction(1, 3),
        pathlib.PurePosixPath("/a/b"),
        array.array("d", [1.5, 2.5]),
        types.SimpleNamespace(a=[1]),
        datetime.timedelta(1, 2, 3),
    ],
    "iterators": lambda: [object],
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_as_pickle_does(name: str) -> None:
    value = EXAMPLES[name]()
    things.log.clear()
    check(value)
    check([value, value])
    # Whoever looks at the stream of hooks cannot tell which one it was.
    things.log.clear()
    pickled(value)
    by_pickle, things.log[:] = things.log[:], []
    copied(value)
    assert things.log == by_pickle


def test_what_compares_by_itself() -> None:
    for value in (
        re.compile("a+", re.I),
        uuid.uuid4(),
        functools.partial(int, base=2),
        operator.attrgetter("a.b"),
        io.BytesIO(b"abc"),
        io.StringIO("abc"),
        iter([1, 2]),
        things.Plain(a=1).__init__,
        [].append,
        {}.get,
        str.join,
    ):
        assert type(copied(value)) is type(pickled(value)), value


def test_attributes_are_set_behind_the_back_of_the_class() -> None:
    with_property = things.WithProperty()
    with_property.__dict__["x"] = 21
    assert copied(with_property).x == 42
    assert vars(copied(things.Guarded(a=1))) == {"a": 1}
    odd = things.Plain(a=1)
    odd.__dict__[(1, 2)] = "no name"
    assert vars(copied(odd)) == {"a": 1, (1, 2): "no name"}
    assert vars(copied(things.Hooked(a=1))) == {"hooked": True}
    assert all(sys.intern(name) is name for name in vars(copied(things.Plain(a_longer_name=1))))


def test_changes_of_a_class_are_noticed() -> None:
    class Base:
        pass

    class Changing(Base):
        pass

    Changing.__qualname__ = Base.__qualname__ = "Changing"
    Base.__qualname__ = "Base"
    things.Changing, things.Base = Changing, Base  # type: ignore[attr-defined]
    Changing.__module__ = Base.__module__ = "codec_things"
    thing = Changing()
    thing.a = 1  # type: ignore[attr-defined]
    assert vars(copied(thing)) == {"a": 1}
    Base.__getstate__ = lambda self: {"b": 2}  # type: ignore[attr-defined]
    assert vars(copied(thing)) == {"b": 2}
    del Base.__getstate__
    assert vars(copied(thing)) == {"a": 1}
    Changing.__reduce__ = lambda self: (things.Plain, (), {"c": 3})  # type: ignore[method-assign,assignment]
    assert vars(copied(thing)) == {"c": 3}
    del Changing.__reduce__
    data = dumps(thing)
    Base.__setstate__ = lambda self, state: self.__dict__.update(d=4)  # type: ignore[attr-defined]
    assert vars(loads(data)) == {"d": 4}
    del Base.__setstate__
    things.Changing = things.Plain  # type: ignore[attr-defined]
    # No longer what is found by that name: it is copied as a local class is.
    assert vars(copied(thing)) == {"a": 1}
    assert b"cloudpickle" in dumps(thing)


def test_classes_that_come_and_go() -> None:
    for i in range(600):
        name = f"Temporary{i % 7}"
        base = (things.Plain, things.Stateful, Exception, dict)[i % 4]
        cls = type(name, (base,), {"__module__": "codec_things", "number": i})
        setattr(things, name, cls)
        thing = cls(i) if base is things.Stateful else cls()
        assert type(copied(thing)) is cls
        delattr(things, name)


def test_aliases_and_cycles() -> None:
    shared: list[Any] = [1, [2]]
    check([shared, shared, {"k": shared}, (shared, shared)])
    loop: list[Any] = []
    loop.append(loop)
    assert (twin := copied(loop))[0] is twin
    through: list[Any] = []
    around = (through, "x")
    through.append(around)
    check(around)
    check(through)
    table: dict[Any, Any] = {}
    table["self"] = table
    check([table, table])
    node = things.Plain()
    node.me, node.list, node.frozen = node, [node], (node,)  # type: ignore[attr-defined]
    check(node)
    member = things.Plain()
    member.group = frozenset([member])  # type: ignore[attr-defined]
    twin = copied(member)
    assert next(iter(twin.group)) is twin
    twin = copied(member.group)  # type: ignore[attr-defined]
    assert next(iter(twin)).group is twin
    error = ValueError()
    error.args = ([error],)
    check(error)


def test_an_alias_that_a_hook_brings_up_late() -> None:
    """An object that only its container refers to is met again by way of a hook."""

    class Late:
        def __reduce__(self) -> Any:
            return list, ((inner[0], inner[0].items),)  # type: ignore[attr-defined]

    inner = [things.Plain(items=[1])]
    first, second = copied([inner, Late()])
    assert second[0] is first[0]
    assert second[1] is first[0].items


def test_a_dict_that_is_shared_with_an_instance() -> None:
    thing = things.Plain(value=[1])
    for value in ([thing, vars(thing)], [vars(thing), thing]):
        check(value)


def test_lambdas_and_local_classes() -> None:
    offset = 5

    class Local:
        def method(self) -> int:
            return offset

        def clone(self) -> Local:
            return Local()

    def nested(x: int) -> int:
        return x + offset

    fn, cls, again, thing = copied((nested, Local, [nested], Local()))
    assert (fn(1), cls().method()) == (6, 5)
    assert again[0] is fn
    assert type(thing) is cls
    assert type(cls().clone()) is cls
    assert copied(lambda: things.function)() is things.function
    assert copied([math_module()])[0] is math_module()
    assert list(copied({}.keys())) == []
    assert copied(memoryview(b"ab")) == b"ab"


def math_module() -> Any:
    import math

    return math


def test_functions_that_travel_together_share_their_globals() -> None:
    space: dict[str, Any] = {"__name__": "nowhere", "count": 0}
    exec("def up():\n global count\n count += 1\ndef get():\n return count", space)
    up, get = copied((space["up"], space["get"]))
    up()
    assert (get(), space["count"]) == (1, 0)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (threading.Lock, "cannot pickle '_thread.lock' object"),
        (lambda: [threading.Lock()], "cannot pickle '_thread.lock' object"),
        (lambda: things.Plain(lock=threading.Lock()), "cannot pickle '_thread.lock' object"),
        (lambda: (i for i in ()), "cannot pickle 'generator' object"),
        (lambda: open(os.devnull), "cannot pickle"),  # noqa: SIM115
        (lambda: type(iter([])), "Can't pickle <class 'list_iterator'>"),
        (lambda: Refuses(), "not me"),
        (lambda: sys._getframe(), "cannot pickle 'frame' object"),
    ],
)
def test_refusals(make: Callable[[], Any], text: str) -> None:
    with pytest.raises((TypeError, pickle.PicklingError, ValueError)) as info:
        dumps(make())
    assert text in str(info.value)


class Refuses:
    def __reduce__(self) -> Any:
        raise ValueError("not me")


@pytest.mark.parametrize(
    "answer",
    [
        1,
        (),
        (list,),
        (list, 1),
        (1, ()),
        (list, (), None, 1),
        (list, (), None, None, 1),
        (list, (), None, None, iter([1])),
        (list, (), None, None, None, 1),
        (list, (), None, None, None, None, None),
        "nothing_of_that_name",
    ],
)
def test_malformed_reductions(answer: Any) -> None:
    class Odd:
        def __reduce__(self) -> Any:
            return answer

    with pytest.raises((pickle.PicklingError, TypeError)):
        dumps(Odd())


def test_depth() -> None:
    nested: Any = None
    for _ in range(900):
        nested = [nested]
    assert copied(nested) == nested
    chain: Any = None
    for _ in range(900):
        chain = things.Plain(next=chain)
    assert copied(chain).next.next.next is not None
    for wrap in (lambda x: [x], lambda x: (x,), lambda x: {1: x}, lambda x: things.Plain(x=x)):
        deep: Any = None
        for _ in range(5000):
            deep = wrap(deep)
        with pytest.raises(RecursionError, match="nested"):
            dumps(deep)


class Mutating:
    """Changes a container while that is being encoded."""

    def __init__(self, change: Callable[[], object]) -> None:
        self.change = change

    def __reduce__(self) -> Any:
        self.change()
        return int, ()


def refused(value: Any) -> None:
    """It changes while it is encoded; free-threaded builds send what it was before."""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        dumps(value)
        return
    with pytest.raises(RuntimeError, match="changed size"):
        dumps(value)


@pytest.mark.parametrize("size", [3, 300])
def test_containers_that_change_under_way(size: int) -> None:
    items: list[Any] = []
    items[:] = [Mutating(items.clear), *([[]] * size)]
    assert copied(items) == [0]
    items[:] = [Mutating(lambda: items.extend([[]] * 600)), *([[]] * size)]
    assert copied(items)[1:] == [[]] * (size + 600)
    table: dict[Any, Any] = {}
    table.update({i: [] for i in range(size)})
    table[0] = Mutating(table.clear)
    refused(table)
    table.update({i: Mutating(lambda: table.pop(len(table) - 1)) for i in range(size)})
    refused(table)
    thing = things.Plain()
    thing.a = Mutating(vars(thing).clear)  # type: ignore[attr-defined]
    thing.b = [1]  # type: ignore[attr-defined]
    refused(thing)
    group: set[Any] = set()
    group.update([Mutating(group.clear), *range(size)])
    refused(group)


def test_errors_of_hooks_pass() -> None:
    class Interrupted(BaseException):
        pass

    class Rude:
        def __reduce__(self) -> Any:
            raise Interrupted

    with pytest.raises(Interrupted):
        dumps([1, Rude()])


def test_buffers_that_are_pickled_in_place() -> None:
    class Holder:
        def __init__(self, data: Any) -> None:
            self.data = data

        def __reduce_ex__(self, protocol: Any) -> Any:
            return Holder, (pickle.PickleBuffer(self.data),)

    things.Holder = Holder  # type: ignore[attr-defined]
    Holder.__module__, Holder.__qualname__ = "codec_things", "Holder"
    for size in (3, 100_000):
        for kind in (bytes, bytearray):
            data = copied(Holder(kind(b"x" * size))).data
            assert type(data) is kind
            assert data == b"x" * size
            pygas.init()
            near = core().encode(Holder(kind(b"x" * size))).decode().data
            assert memoryview(near).readonly == (kind is bytes)
            assert bytes(near) == b"x" * size
    with pytest.raises(pickle.PicklingError, match="non-contiguous"):
        dumps(Holder(memoryview(b"abcd")[::2]))


def test_large_bytes_inside_of_a_value() -> None:
    pygas.init()
    for size in (4095, 4096, 100_000):
        sent = {"b": b"x" * size, "a": bytearray(b"y" * size), "again": []}
        sent["again"] = [sent["b"], sent["a"]]
        encoded = core().encode(sent)
        twins = [encoded.decode(), encoded.decode(), pygas.resolve(pygas.Proxy(sent))]
        for twin in twins:
            things.assert_twins(twin, sent)
            twin["a"].append(1)
        assert len(sent["a"]) == size
        del encoded
        sent["a"].append(1)  # type: ignore[attr-defined]


# ---- arrays ----


def arrays() -> dict[str, Any]:
    base = np.arange(24.0).reshape(4, 6)
    frozen = np.arange(5)
    frozen.flags.writeable = False
    metadata = np.dtype("f8", metadata={"unit": "m"})
    return {
        "C": base,
        "F": np.asfortranarray(base),
        "strided": base[::2, ::-1],
        "permuted": np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
        "broadcast": np.broadcast_to(np.arange(3), (4, 3)),
        "read-only": frozen,
        "0-d": np.array(2.5),
        "empty": np.empty((3, 0, 2), dtype="i2"),
        "big endian": base.astype(">i4"),
        "structured": np.zeros(3, dtype=[("a", "<i2"), ("b", ">f8", (2,)), ("c", "S3")]),
        "nested": np.zeros(2, dtype=[("a", [("x", "f4")]), ("y", "?")]),
        "aligned": np.zeros(2, dtype=np.dtype("i1,f8", align=True)),
        "texts": np.array(["a", "éé"]),
        "bytes": np.array([b"a", b"bcd"]),
        "no bytes": np.zeros(3, dtype="V0"),
        "dates": np.array(["2020-01-01"], dtype="M8[D]"),
        "spans": np.array([1, 2], dtype="m8[ms]"),
        "objects": np.array([[1, "a"], [None, [2]]], dtype=object),
        "structured objects": np.array([(1, [2])], dtype=[("a", "i4"), ("o", object)]),
        "metadata": np.zeros(2, dtype=metadata),
        "memory map": np.zeros(3).view(np.memmap),
        "masked": np.ma.masked_array([1, 2], mask=[True, False]),
        "record": np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        "many dimensions": np.zeros((1,) * 30),
        **{f"type {c}": np.zeros(3, dtype=c) for c in "?bBhHiIlLqQefdgFDG"},
    }


@pytest.mark.parametrize("name", arrays())
def test_arrays(name: str) -> None:
    sent = arrays()[name]
    pygas.init()
    for got in (copied(sent), core().encode(sent).decode(), copied([sent])[0]):
        assert type(got) is type(sent)
        assert got.dtype == sent.dtype
        assert got.dtype.metadata == sent.dtype.metadata or name != "metadata"
        assert got.shape == sent.shape
        np.testing.assert_array_equal(got, sent)
        assert got.flags.f_contiguous >= sent.flags.f_contiguous
        assert got.flags.aligned
        if type(sent) is np.ndarray and not sent.dtype.hasobject:
            assert got.flags.writeable == sent.flags.writeable
    twin = copied([sent, sent])
    assert twin[0] is twin[1]


def test_large_arrays_have_the_flags_of_the_original() -> None:
    pygas.init()
    for made in (np.zeros((200, 300)), np.asfortranarray(np.zeros((200, 300)))):
        for sent in (made, made[::2], made[:, ::3], np.broadcast_to(made, (2, 200, 300))):
            for writeable in (True, False):
                original = sent if writeable else sent.view()
                if not writeable:
                    original.flags.writeable = False
                got = core().encode(original).decode()
                assert got.flags.writeable == original.flags.writeable
                np.testing.assert_array_equal(got, original)
                p = pygas.Proxy({"a": original})
                copy = pygas.resolve(p)["a"]
                assert copy.flags.writeable == original.flags.writeable
                assert not np.shares_memory(copy, original)


def test_scalars() -> None:
    codes = "?bBhHiIlLqQefdgFDG"
    scalars = [np.dtype(c).type(1) for c in codes] + [np.float64("nan"), np.bool_(False)]
    scalars += [np.str_("x"), np.bytes_(b"y"), np.datetime64("2020"), np.timedelta64(3, "s")]
    scalars += [np.zeros(1, dtype="i4,f8")[0], np.float64(-0.0), np.longdouble(1) / 3]
    for scalar in scalars:
        got = copied(scalar)
        assert type(got) is type(scalar)
        assert repr(got) == repr(scalar)
    assert copied([scalars[-1]] * 2)[0] == scalars[-1]
    assert copied(np.dtype("f8")) is np.dtype("f8") or copied(np.dtype("f8")) == np.dtype("f8")


# ---- properties ----

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


# ---- malformed messages ----


def samples() -> list[bytes]:
    return [dumps(make()) for make in EXAMPLES.values()] + [dumps(a) for a in arrays().values()]


def test_every_truncation_is_a_protocol_error() -> None:
    for data in samples():
        step = max(1, len(data) // 150)
        for end in [*range(0, len(data), step), len(data) - 1]:
            things.log.clear()
            with pytest.raises(pygas.ProtocolError):
                loads(data[:end])
        with pytest.raises(pygas.ProtocolError):
            loads(data + b"\x02")


@given(st.binary(max_size=200))
@settings(max_examples=1000, deadline=None)
def test_random_bytes(data: bytes) -> None:
    with pytest.raises(pygas.ProtocolError):
        loads(b"\x7f" + data)
    try:
        loads(data)
    except pygas.ProtocolError:
        pass
    except (TypeError, ValueError, ImportError, AttributeError, OverflowError):
        pass  # the message was sound; the names in it were not


def test_hostile_sizes_and_depths() -> None:
    for tag in range(1, 128):
        for size in (2**16, 2**31, 2**40, 2**62, 2**63, 2**64 - 1):
            head = bytes([tag, 255]) + size.to_bytes(8, "little")
            with pytest.raises((pygas.ProtocolError, TypeError)):
                loads(head)
            with pytest.raises((pygas.ProtocolError, TypeError)):
                loads(bytes([tag, 8]) + head)
    one = dumps([None])[:-1]
    with pytest.raises(pygas.ProtocolError, match="deep"):
        loads(one * 100_000 + b"\x02")
    with pytest.raises(pygas.ProtocolError, match="not there"):
        loads(b"\x01\x00")
