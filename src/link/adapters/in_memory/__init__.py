"""The ports in memory: a part of the product, to try Link offline and to test what is built on its use cases.

>>> from link.adapters.in_memory import Run, World
>>> from link.use_cases.pull import pull
>>> world = World()
>>> world.insert(("mouse 1",), "recorded")
>>> pull(Run(world).ports()).pulled
1
"""

from link.adapters.in_memory.run import Run
from link.adapters.in_memory.world import Death, Fault, GuardRefused, SeededFaults, World

__all__ = ["Death", "Fault", "GuardRefused", "Run", "SeededFaults", "World"]
