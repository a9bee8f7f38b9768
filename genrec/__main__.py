"""`python -m genrec`, as launchers such as torchrun want it."""

from genrec.cli import main

if __name__ == "__main__":
    main()
