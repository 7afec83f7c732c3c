"""The codec against pickle: the same copies, the same hooks, the same refusals."""

from __future__ import annotations

import functools
import io
import operator
import os
import pickle
import re
import sys
import sysconfig
import threading
import uuid
from collections.abc import Callable
from typing import Any

import codec_things as things
import pytest
from codeckit import EXAMPLES, check, copied, dumps, loads, pickled

import pygas
from pygas._job import core


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
