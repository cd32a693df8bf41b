"""The open-loop injector: arrivals go out when they are due, whatever the system under test does.

`injector` is the caller's side; `engine` is what runs in the injector's own process, and imports nothing heavy.
"""
