"""What the vendors' generated models say an answer consists of, as plain nested data.

A declaration is the name of a JSON type ("str", "int", …; "any" where the model says no more), a dict from a field's
name on the wire to its declaration, a list of one declaration, or, for an object with names of its own, a tuple of one.
"""

import re
import typing

UNDECLARED = "is not in the vendor's model"

Declaration = str | dict | list | tuple


def of_huawei(cls: type, package) -> Declaration:
    """A model of huaweicloudsdk*: its `attribute_map` and `openapi_types`."""
    return {
        wire: _huawei_type(cls.openapi_types[attribute], package) for attribute, wire in cls.attribute_map.items()
    }


def _huawei_type(text: str, package) -> Declaration:
    inner = re.fullmatch(r"list\[(.+)\]", text)
    if inner:
        return [_huawei_type(inner[1], package)]
    named = re.fullmatch(r"dict\(str, (.+)\)", text)
    if named:
        return (_huawei_type(named[1], package),)
    model = getattr(package, text, None)
    if isinstance(model, type) and hasattr(model, "attribute_map"):
        return of_huawei(model, package) if model.attribute_map else "dict"
    return {"object": "any", "datetime": "str", "date": "str", "long": "int"}.get(text, text)


def of_alibaba(cls: type) -> Declaration:
    """A Darabonba model: the types of its constructor, and the names that its own `to_map` writes."""
    types = {name: kind for name, kind in typing.get_type_hints(cls.__init__).items() if name != "return"}
    marked = cls(**{name: _mark(name, kind) for name, kind in types.items()})
    fields = {}
    for wire, written in marked.to_map().items():
        name = written[0] if isinstance(written, list) else written
        fields[wire] = _alibaba_type(types[name])
    return fields


class _Marker:
    """Stands for a nested model; a model's `to_map` calls it, and so shows where the field goes."""

    def __init__(self, name: str):
        self._name = name

    def to_map(self) -> str:
        return self._name


def _is_model(kind) -> bool:
    return isinstance(kind, type) and hasattr(kind, "to_map")


def _mark(name: str, kind):
    if _is_model(kind):
        return _Marker(name)
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is list and _is_model(arguments[0]):
        return [_Marker(name)]
    return name


def _alibaba_type(kind) -> Declaration:
    if _is_model(kind):
        return of_alibaba(kind)
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is list:
        return [_alibaba_type(arguments[0])]
    if typing.get_origin(kind) is dict:
        return "dict"
    return kind.__name__ if isinstance(kind, type) else "any"


def paths(declared: Declaration, at: str = "") -> typing.Iterator[str]:
    """Every field, nested ones as `result[].tags[].tagKey`."""
    if isinstance(declared, list):
        yield from paths(declared[0], f"{at}[]")
    elif isinstance(declared, tuple):
        yield from paths(declared[0], f"{at}{{}}")
    elif isinstance(declared, dict):
        for name, inner in declared.items():
            path = f"{at}.{name}" if at else name
            yield path
            yield from paths(inner, path)


def compare(declared: Declaration, answer, at: str = "") -> typing.Iterator[tuple[str, str]]:
    """Walks an answer: ("seen", path) for each field that the model declares, else what is wrong with it.

    A field that is null is not there."""
    if isinstance(declared, list):
        if not isinstance(answer, list):
            yield f"is {type(answer).__name__}, not a list", at
            return
        for item in answer:
            yield from compare(declared[0], item, f"{at}[]")
    elif isinstance(declared, (dict, tuple)):
        if not isinstance(answer, dict):
            yield f"is {type(answer).__name__}, not an object", at
            return
        for name, value in answer.items():
            path = f"{at}.{name}" if at else name
            if value is None:
                continue
            if isinstance(declared, tuple):
                yield from compare(declared[0], value, f"{at}{{}}")
            elif name not in declared:
                yield UNDECLARED, path
            else:
                yield "seen", path
                yield from compare(declared[name], value, path)
    elif declared != "any" and type(answer).__name__ != declared and (declared, type(answer)) != ("float", int):
        yield f"is {type(answer).__name__}, not {declared}", at
