"""Where the bytes of an item are, and reading them: files, tar members, cells of tables, URLs, objects of stores."""
