"""Liveness, readiness, metrics, and a page that lists the calls; the same on both servers."""

import json
from collections.abc import Callable, Mapping
from typing import cast

from apiflask import APIBlueprint, APIFlask
from flask import Response, current_app, render_template
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Gauge,
    generate_latest,
)
from sqlalchemy import text

from shared.web.database import Database
from shared.web.description import gives

#: Metric name to (help text, value by label "task" or "" for none).
Metrics = Mapping[str, tuple[str, Mapping[str, float]]]


def blueprint(database: Database, metrics: Callable[[], Metrics]) -> APIBlueprint:
    """``/healthz``, ``/readyz``, ``/metrics`` and ``/docs``.

    Args:
        metrics: read anew for each scrape, from the store, so that every worker
            process answers alike.
    """
    calls = APIBlueprint("health", __name__, tag="Health", template_folder="templates")

    @calls.get("/healthz")
    @calls.doc(summary="The process lives")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @calls.get("/readyz")
    @calls.doc(summary="The store answers: calls can be taken")
    def readyz() -> dict[str, str]:
        with database.read() as session:
            session.execute(text("SELECT 1"))
        return {"status": "ready"}

    @calls.get("/metrics")
    @calls.doc(summary="Metrics for Prometheus", responses=gives("text/plain"))
    def read_metrics() -> Response:
        registry = CollectorRegistry()
        for name, (help_text, values) in metrics().items():
            labelled = any(values) or not values
            gauge = Gauge(name, help_text, ["task"] if labelled else [], registry=registry)
            for task, value in values.items():
                (gauge.labels(task=task) if labelled else gauge).set(value)
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    @calls.get("/docs")
    @calls.doc(hide=True)
    def docs() -> str:
        app = cast("APIFlask", current_app)
        return render_template("docs.html", spec=json.loads(json.dumps(app.spec)))

    return calls
