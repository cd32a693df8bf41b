"""What is measured of a test run, a module for each kind; `tasks.measure` says which belong to which type of test.

Each has functions of (connection, run, tables) that give rows of the measurements table; `tasks.measures.subject` says
what these three hold.
"""
