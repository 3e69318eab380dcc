"""The predecessor's import path: `from dj_link import LazySchema, Link`."""

from link import LazySchema, Link

__all__ = ["LazySchema", "Link"]
