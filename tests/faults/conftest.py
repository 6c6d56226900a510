"""The helpers beside the tests are importable, here and in the processes that the tests start."""
