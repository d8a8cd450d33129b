"""What the heavy tests and benchmarks run against: the real Kubernetes control plane, as child processes.

plane.py starts and breaks it, cluster.py puts objects into it, kubelet.py plays the nodes; README.md has
the rest.
"""
