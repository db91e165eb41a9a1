"""What both servers need of the web: problems, who may call, jobs, events, health, logs."""
