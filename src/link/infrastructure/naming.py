"""Linked classes by their names, for the command line."""

from __future__ import annotations

import sys
from functools import reduce
from importlib import import_module
from typing import Any

from link.domain.errors import NoSuchLink
from link.infrastructure.linked_table import LinkedTable


def linked_class(name: str) -> Any:
    """Return the class of `MODULE:CLASS`, importing the module as a script in the working directory would.

    Raises `NoSuchLink` where there is none; what the module itself raises goes through.
    """
    module, _, path = name.partition(":")
    if not module or not path:
        raise NoSuchLink(name=name, reason="it is not of the form MODULE:CLASS")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found = reduce(getattr, path.split("."), import_module(module))
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise NoSuchLink(name=name, reason=f"there is no module {error.name!r} here") from None
    except AttributeError as error:
        raise NoSuchLink(name=name, reason=str(error)) from None
    if not (isinstance(found, type) and issubclass(found, LinkedTable)):
        raise NoSuchLink(name=name, reason="it is not a class made by Link")
    return found
