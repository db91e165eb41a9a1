"""What the main server must not forget: devices, versions, rounds, updates, evaluations.

Each change is one transaction. A file is on the disk under its final name before
the row that tells of it is committed; a file without a row is nothing yet.
"""
