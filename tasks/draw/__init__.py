"""How arrivals are drawn, in integers alone: the same seed gives the same messages on every machine.

`rotation` and `estate` are plain arithmetic, and cheap to import; `words`, `due` and `devices` are numpy. What is drawn
for whom is told in `tasks.arrivals`.
"""
