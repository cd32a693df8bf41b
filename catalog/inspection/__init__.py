"""The page on which people walk through what rests on what: its document, and how that becomes one file."""
