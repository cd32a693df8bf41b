"""What is declared and what is recorded: models, declarations, evidence store, ledger, the graph of lineage.

Touches the catalogue and the workspace, nothing else, and imports none of the other rings.
"""
