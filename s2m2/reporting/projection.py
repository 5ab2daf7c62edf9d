# shim
# ruff: noqa
from s2m2.reports.images import Projection as Projection  # noqa: F401
from s2m2.reports.images import project as plane  # noqa: F401
from s2m2.reports.images import project_task as project_task  # noqa: F401
__all__ = ['Projection', 'plane', 'project_task']
