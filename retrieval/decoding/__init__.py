"""Images read, decoded and prepared in a few limited worker processes, which no input can keep busy or grow."""
