"""Steps over HTTP: answered when done, or at once with ``Prefer: respond-async``."""

from typing import Any

from apiflask import APIBlueprint
from flask import Request, Response, g, jsonify, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from shared.web.jobs import Jobs, Work
from shared.web.problems import is_page


class Calls:
    """Runs the steps that clients ask for as jobs.

    Args:
        jobs: where they run.
    """

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs

    def answer(self, kind: str, task: str, work: Work) -> AnyResponse:
        """Run ``work`` as the client prefers.

        Returns:
            To a program: the result when it is there; with ``Prefer: respond-async``
            202 and the job's address at once. To a form on a page: 303 back to the
            page, which shows the job.
        """
        if is_page(request):
            self.jobs.start(kind, task, work)
            return redirect(f"/?task={task}", code=303)
        if not wants_no_wait(request):
            g.in_log = True  # the job's failure is: see guard.py
            return jsonify(self.jobs.run(kind, task, work))
        job = self.jobs.start(kind, task, work)
        response: Response = jsonify({"job": job, "status": "running"})
        response.status_code = 202
        response.headers["Location"] = url_for("jobs.read_job", job=job)
        response.headers["Preference-Applied"] = "respond-async"
        return response


def wants_no_wait(call: Request) -> bool:
    """Whether the client prefers an answer before the work is done (RFC 7240)."""
    preferences = call.headers.get("Prefer", "").lower().split(",")
    return "respond-async" in {item.partition(";")[0].strip() for item in preferences}


def blueprint(jobs: Jobs) -> APIBlueprint:
    """``GET /jobs``, ``GET /jobs/<id>`` and ``POST /jobs/<id>/cancel``."""
    calls = APIBlueprint("jobs", __name__, tag="Jobs")

    @calls.get("/jobs")
    @calls.doc(summary="The newest jobs, newest first")
    def list_jobs() -> dict[str, Any]:
        return {"jobs": [job.as_json() for job in jobs.recent(limit=50)]}

    @calls.get("/jobs/<job>")
    @calls.doc(summary="One job: its status, progress, and result or problem")
    def read_job(job: str) -> dict[str, Any]:
        return jobs.get(job).as_json()

    @calls.post("/jobs/<job>/cancel")
    @calls.doc(
        summary="Ask a running job to stop",
        description="run_rounds stops after the step it is at, a training after the batch it is "
        "at, on each device; other steps are short and end by themselves.",
    )
    def cancel_job(job: str) -> AnyResponse:
        cancelled = jobs.cancel(job)
        if is_page(request):
            return redirect(f"/?task={cancelled.task}", code=303)
        return jsonify(cancelled.as_json())

    return calls
