"""kr8s again, where the program begins anew whenever the iteration has ended without an error.

No documentation shows it; but every stream ends within an hour, so every user finds it. Errors are not caught.
"""

from benchmarks.arms.programs import kr8s_watch
from benchmarks.arms.programs.report import run


def main() -> None:
    while True:
        kr8s_watch.main()


if __name__ == "__main__":
    run(main)
