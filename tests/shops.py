"""The programme that most tests run: the template with a phase before its own, at whose volumes both are tested.

What the template teaches, one phase can show; reliance, histories and impact need a second one.
"""

from pathlib import Path

from catalog.template import write_template

_PILOT = "  - id: pilot\n    title: Pilot with invited customers\n    components: [storefront, orders]\n"
_FORECAST = 'pilot,customers,2026-03-01,2026-05-31,50000,customers,1,agreed,"Business plan 2026, table 3"\n'
_EDITS = (
    ("programme.yaml", "phases:\n  - id: launch\n", f"phases:\n{_PILOT}  - id: launch\n"),
    ("programme.yaml", "    # phases: [launch]     absent", "    phases: [launch] # absent"),
    ("forecasts.csv", "launch,customers,2026-06-01", f"{_FORECAST}launch,customers,2026-06-01"),
    ("tests.yaml", "[load, stress] # its soak test would be one word more\n", "[load, stress, soak]\n"),
    ("tests.yaml", "    phases: [launch]\n", "    phases: [pilot, launch]\n"),
)


def write_shop(folder: Path) -> None:
    """Writes the programme into `folder`: a web shop with the phases pilot and launch, and six tests in each."""
    write_template(folder)
    for file, old, new in _EDITS:
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in the template's {file}"
        (folder / file).write_text(text.replace(old, new), encoding="utf-8")
