"""Files that were tampered with: changes to every place of a JSON, and what must come of reading them."""

import copy
import itertools
import json
import os
import warnings

from tests.messages import faults, raw_words

_REMOVED, _NESTED = object(), object()
_DEEP = 10_000
#: What stands in the place of an entry, by name.
VALUES = {
    "null": None,
    "a list": [],
    "a list of lists": [[1], []],
    "an object": {},
    "text": "no such [thing]",
    "negative": -1,
    "a fraction": 0.5,
    "huge": 10**400,
    "very large": 1e300,
    "NaN": float("nan"),
    "infinite": float("inf"),
    "true": True,
    "removed": _REMOVED,
    "nested": _NESTED,
}
#: Those of which each is of another kind.
FEW = {name: VALUES[name] for name in VALUES if name not in ("a list of lists", "a fraction", "very large", "infinite")}


def places(node, most=None, at=()):
    """The path of every node of JSON, the root included.

    Args:
        node: the JSON.
        most: how many entries of an object or a list are gone into. None: all.
        at: path of the node.
    """
    yield at
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items)[:most]:
        yield from places(value, most, (*at, key))


def tampered(content, place, value):
    """JSON text of `content` with one of `VALUES` in a place."""
    if not place:
        found = "" if value is _REMOVED else value
    else:
        found = copy.deepcopy(content)
        node = found
        for key in place[:-1]:
            node = node[key]
        if value is _REMOVED:
            del node[place[-1]]
        else:
            node[place[-1]] = "@" if value is _NESTED else value
    text = json.dumps("@" if found is _NESTED else found)
    return text.replace('"@"', "[" * _DEEP + "]" * _DEEP)


def without(content, entry):
    """A copy of `content` that lacks an entry, if it is there; None where that is all of it."""
    if not entry:
        return None
    found = node = copy.deepcopy(content)
    for key in entry[:-1]:
        node = node[key]
    node.pop(entry[-1], None)
    return found


def json_cases(content, most=None, values=VALUES):
    """Every change of a JSON: (name, text of the file, the entry that differs: of a list the whole)."""
    for place in places(content, most):
        entry = tuple(itertools.takewhile(lambda key: isinstance(key, str), place))
        for name, value in values.items():
            yield f"{'.'.join(map(str, place)) or 'all'}: {name}", tampered(content, place, value), entry


def file_cases(content):
    """A file that is another thing than it was: {name: what makes it, with the path to make}.

    Args:
        content: bytes of the file.
    """
    return {
        "empty": lambda path: path.write_bytes(b""),
        "cut off": lambda path: path.write_bytes(content[: len(content) // 2]),
        "the last byte is missing": lambda path: path.write_bytes(content.rstrip()[:-1]),
        "binary": lambda path: path.write_bytes(bytes(range(256)) * 20),
        "another encoding": lambda path: path.write_bytes(b"\xff\xfe" + content),
        "zeros": lambda path: path.write_bytes(bytes(len(content))),
        "a folder": lambda path: path.mkdir(),
        "a pipe": os.mkfifo,
        "a link to nothing": lambda path: path.symlink_to("nowhere"),
        "a link to a device": lambda path: path.symlink_to("/dev/zero"),
        "absent": lambda path: None,
        "too large": lambda path: path.write_bytes(b" ") and os.truncate(path, 2**34),
    }


class Outcomes:
    """What came of many cases.

    Attributes:
        bad: every case that ended as none may, with the reason.
        accepted: names of the cases that succeeded.
        refused: those that ended in a message.
    """

    def __init__(self):
        self.bad, self.accepted, self.refused = {}, [], []

    def add(self, name, action, error, files, same=lambda found: True):
        """Runs a case.

        Args:
            name: of the case.
            action: what reads the file.
            error: class of the library's error.
            files: paths that the message may name; it has to name one of them.
            same: whether what `action` gave is what it has to be.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = action()
        except error as told:
            self.refused.append(name)
            message = str(told)
            wrong = faults(message, files, may_say_none=True) + raw_words(message)
            if "Given:" not in message or not any(str(file) in message for file in files):
                wrong.append("does not name the file")
            if wrong:
                self.bad[name] = (wrong, message)
        except Exception as raw:  # any other kind: a traceback for the user
            self.bad[name] = f"{type(raw).__name__}: {raw}"[:300]
        else:
            self.accepted.append(name)
            if not same(found):
                self.bad[name] = "accepted, and something else has changed"

    def told(self):
        """The cases that ended as none may, each in a line."""
        return "\n".join([f"{len(self.bad)} cases", *(f"{name}: {why}" for name, why in list(self.bad.items())[:40])])
