"""One program for each client. Each runs in the client's own virtual environment and needs nothing else."""
