"""The daemon: follows the member list with the `membership` library and hands it to others.

`app.py` says the flow: start, run, stop. Every output is a publisher (`publishers/`) that takes the newest list.
"""
