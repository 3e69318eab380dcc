from __future__ import annotations

import pytest

from link.adapters.in_memory import World
from moments import KEYS


@pytest.fixture
def world():
    world = World()
    for key in KEYS:
        world.insert(key, "v", "part")
    return world
