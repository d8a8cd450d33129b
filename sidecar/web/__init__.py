"""The HTTP interface: `routes.py` says what there is, one module for each kind of answer."""
