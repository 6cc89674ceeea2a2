"""`python -m hstu_preserve` is the command line."""

from hstu_preserve.cli.main import run

if __name__ == "__main__":
    run()
