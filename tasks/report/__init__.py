"""The completion report: assembled as one document from the facts of a phase, and rendered as one page."""
