"""`python -m meterway`: the command line."""

from meterway.cli import main

if __name__ == "__main__":
    main(prog_name="meterway")
