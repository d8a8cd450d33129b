"""The clients that are measured side by side: `catalogue.ARMS` names them, `running.Running` starts one.

    prepare([arm.environment for arm in ARMS])
    with Running(arm, Pod(folder, url), namespace, service) as running:
        running.wait_synced(30)
        ...
        observations = running.observations()

Each runs in an environment of its own (benchmarks/environments.py) and finds what a pod finds: two variables and the
files of a service account. All write the same lines (programs/report.py), with the same clock.
"""
