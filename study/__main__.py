"""Entry point of `python -m study`; see `study.cli.app`."""

from study.cli.app import main

if __name__ == "__main__":
    main()
