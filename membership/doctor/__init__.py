"""`membership doctor`: what is wrong in a pod, from settings to Hazelcast, each finding with evidence and its fix.

    visit.py        one visit: all areas of one pod
    situation.py    what is examined: settings as far as they can be read, files, the list
    examination.py  all areas at once, each with a time limit; none stops the others
    catalogue.py    every finding there is: how grave, in words, and what to do
    findings.py     one finding, their order, the exit code

The other modules are an area each, with one function `examine(situation, limit)` that yields findings.
"""
