"""`python -m numerai_lab` is `nlab`."""

from numerai_lab.cli.app import main

main()
