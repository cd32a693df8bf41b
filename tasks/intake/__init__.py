"""Takes in what other tools wrote: one reader a format, recognised by content, and the record of what was taken in."""
