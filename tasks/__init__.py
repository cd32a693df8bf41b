"""One verb a room. The only ring that touches the world: systems under test, sockets, clocks, reports."""
