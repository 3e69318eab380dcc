"""Link DataJoint tables on different database servers."""

from link.domain import errors
from link.infrastructure.lazy_schema import LazySchema
from link.infrastructure.link import Link
from link.use_cases.results import DeleteResult, PullResult, RefreshResult

__all__ = ["DeleteResult", "LazySchema", "Link", "PullResult", "RefreshResult", "errors"]
