"""One command a table: each module measures something and rewrites the table beside it, with where it comes from."""
