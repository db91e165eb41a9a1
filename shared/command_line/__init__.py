"""The ``fedbell`` command: start the servers, run a client, prepare pictures, and more.

Nothing is imported here: ``__main__`` listens for Ctrl-C first.
"""
