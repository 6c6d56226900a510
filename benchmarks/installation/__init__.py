"""The installation of vlsearch."""
