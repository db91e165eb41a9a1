"""What a task's jobs are, for the page: the one that runs, or what became of the last one."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from main_server.pages.step_words import JOBS
from main_server.pages.stepper import RoundView
from shared.web.filters import duration
from shared.web.jobs import Job

JOBS_LOOKED_AT = 20

_REFUSED = "urn:fedbell:problem:step-running"


@dataclass(frozen=True)
class Work:
    """One job as the page shows it.

    Attributes:
        rounds: the whole rounds it has finished; none for a step.
        failures: by device, what went wrong on it, last, in whole rounds.
        eta_seconds: until all its rounds are through; None before one of them is.
    """

    job: Job
    title: str
    rounds: list[dict[str, Any]]
    failures: dict[str, str]
    eta_seconds: float | None

    @property
    def is_running(self) -> bool:
        """Whether it is not over yet."""
        return self.job.status == "running"


def work(jobs: Sequence[Job], began: float | None) -> Work | None:
    """The job to show.

    Args:
        jobs: the task's newest.
        began: when the round that runs began, in seconds since 1970.
    """
    job = _job_to_show(jobs)
    if job is None:
        return None
    told = job.result or job.progress or {}
    rounds = list(told.get("rounds") or told.get("done") or [])
    return Work(
        job=job,
        title=JOBS.get(job.kind, job.kind),
        rounds=rounds,
        failures={
            place.rpartition(" on ")[2]: detail
            for each in rounds
            for place, detail in each["errors"].items()
        },
        eta_seconds=_eta(job, began),
    )


def announcement(current: RoundView, shown: Work | None) -> str:
    """What is going on in one short sentence, to be said aloud when it changes."""
    for step in current.steps:
        if step.kind == "running":
            at_work = [row for row in [*step.rows, *step.folded] if row.since is not None]
            told = [
                f"{row.name}: epoch {row.activity.done} of {row.activity.total}"
                for row in at_work
                if row.activity and row.activity.phase == "training"
            ]
            said = "; ".join(told[:3]) or f"{len(at_work)} at work"
            return f"Round {current.number}, {step.title}: {said}."
    if shown and shown.is_running:
        return f"{shown.title} is running."
    if shown and shown.job.status == "failed":
        return f"{shown.title} failed: {(shown.job.problem or {}).get('title', '')}."
    coming = [step.title for step in current.steps if step.offer.primary]
    failed = [f"{step.short} failed." for step in current.steps if step.kind == "failed"]
    alone = [f"{name} {told.partition(':')[0]}." for name, told in current.by_itself[:3]]
    told = [f"Round {current.number} is {current.word}.", *failed, *alone]
    return " ".join([*told, *(f"Next: {name}." for name in coming)])


def in_words(shown: Work) -> str:
    """How far whole rounds are: "round 3 of 10, about 2 min 5 s left"."""
    progress = shown.job.progress or {}
    if "of" not in progress:
        return ""
    told = f"round {progress['round']} of {progress['of']}"
    if shown.eta_seconds is None:
        return told
    return f"{told}, about {duration(shown.eta_seconds)} left"


def _job_to_show(jobs: Sequence[Job]) -> Job | None:
    """The job that runs, or else the one that ended last.

    A second click while a job runs is refused, and that refusal is a newer job: it is not
    what people want to see.
    """
    told = [job for job in jobs if (job.problem or {}).get("type") != _REFUSED]
    running = [job for job in told if job.status == "running"]
    if running:
        return min(running, key=lambda job: job.started)
    return max(told, key=lambda job: job.finished or 0, default=None)


def _eta(job: Job, began: float | None) -> float | None:
    """By the pace of the rounds that this job has finished."""
    progress = job.progress or {}
    finished = int(progress.get("round", 1)) - 1
    if job.status != "running" or finished < 1 or began is None or began <= job.started:
        return None
    pace = (began - job.started) / finished
    remaining = pace * (int(progress["of"]) - finished) - (time.time() - began)
    return max(0.0, remaining)
