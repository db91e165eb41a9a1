"""A whole client in one process: it pulls, trains, pushes, and goes on; it opens no port.

``loop.py`` is what it does, ``state.py`` what it keeps, ``calls.py`` and ``heartbeat.py`` how it
talks to the main server, ``learner.py`` its network, ``display.py`` what people see of it, and
``process.py`` puts them together. How to run one: docs/clients.md.
"""
