"""What must hold: table contracts, the NFR suites, statistics, the reliance rule, exit criteria. Pure."""
