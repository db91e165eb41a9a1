"""The main server's pages: control.py the control page, versions.py comparing and weights."""
