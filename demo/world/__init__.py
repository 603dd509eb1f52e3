"""A deterministic pretend company: `generate(seed, customers, months)` builds it, `World.write` stores it."""

from demo.world.generator import generate
from demo.world.writer import World

__all__ = ["World", "generate"]
