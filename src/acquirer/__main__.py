"""``python -m acquirer``: the command line."""

from acquirer.cli.main import main

if __name__ == "__main__":
    main()
