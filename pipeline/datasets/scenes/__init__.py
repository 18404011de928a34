"""The built-in data set: a drawn picture-book world whose every fact is known."""
