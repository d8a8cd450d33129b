"""Every run tries the same examples; HYPOTHESIS_PROFILE=random tries others, to find what nobody has seen yet."""

import os

from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None, max_examples=50)
settings.register_profile("random", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
