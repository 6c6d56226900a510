"""The commit protocol and what keeps a collection sound: writer, rows, changes, maintenance, diagnosis."""
