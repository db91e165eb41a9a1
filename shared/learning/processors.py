"""How many of the machine's processors this process may use."""

import os


def processors() -> int:
    """How many threads this process may use: TF_NUM_INTRAOP_THREADS, or all its processors."""
    told = int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0)
    if told > 0:
        return told
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
