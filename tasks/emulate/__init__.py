"""The emulated system: components with declared capacities, errors and leaks, each a process speaking HTTP on loopback.

`spec` declares a component, `system` starts processes and wires them (the caller's side); `component`, `station`,
`hop` and `server` are what runs inside one.
"""
