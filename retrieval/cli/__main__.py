"""``python -m retrieval.cli``: the command line without an installed script."""

from retrieval.cli.start import main

if __name__ == "__main__":
    main()
