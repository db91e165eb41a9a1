"""Which calls there are for whom. A call that stands in no table is the operator's alone."""

from collections.abc import Mapping
from enum import Enum

#: The endpoints of both servers, each with who may call it.
Routes = Mapping[str, "Who"]


class Who(Enum):
    """Who may make a call."""

    #: Everybody: it tells nothing and changes nothing but the caller's own cookie.
    ANYBODY = "anybody"
    #: A device with its token, which the call itself checks.
    DEVICE = "device"
    #: A device with its token, and people who may read.
    DEVICE_OR_VIEWER = "device or viewer"
    #: People who may read.
    VIEWER = "viewer"
    #: People who may change things.
    OPERATOR = "operator"
    #: They, and the main server with a proof.
    MAIN_SERVER_OR_OPERATOR = "main server or operator"


#: What both servers have.
COMMON: Routes = {
    "health.healthz": Who.ANYBODY,
    "health.readyz": Who.ANYBODY,
    "health.read_metrics": Who.VIEWER,
    "health.docs": Who.VIEWER,
    "openapi.spec": Who.VIEWER,
    "web.choose_theme": Who.ANYBODY,
    "web.static": Who.ANYBODY,
    "bootstrap.static": Who.ANYBODY,
    "static": Who.ANYBODY,
    "access.log_in_page": Who.ANYBODY,
    "access.log_in": Who.ANYBODY,
    "access.log_out": Who.ANYBODY,
    "events.stream_events": Who.VIEWER,
    "events.download_events": Who.VIEWER,
    "jobs.list_jobs": Who.VIEWER,
    "jobs.read_job": Who.VIEWER,
    "jobs.cancel_job": Who.OPERATOR,
}
