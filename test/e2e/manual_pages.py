"""The built manual as the tests read it: pages, their displays with what each is an example of, and the lists in them."""
import os
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("BUILD", "build/dev")
SOURCES = sorted([*(ROOT / "daemon").glob("**/*.in"), *(ROOT / "sql").glob("*.in")])
PAGES = {source.name.removesuffix(".in"): BUILD / "man" / source.name.removesuffix(".in") for source in SOURCES}
KINDS = ("policy", "conf", "shell", "psql", "python", "output", "host")
ROLES = {"reader": "app", "deployer": "ci", "operator": "alice", "administrator": "postgres", "daemon": "rollbackd"}


class Example:
    """One display: `.\\" example: KIND [ROLE]` stands right above its .Bd."""

    def __init__(self, page, line, kind, role, text):
        self.page, self.line, self.kind, self.role, self.text = page, line, kind, role, text

    def __repr__(self):
        return f"{self.page}:{self.line} ({self.kind})"


def plain(text):
    """What a reader sees of a line of a display."""
    return text.replace("\\e", "\\").replace("\\(dq", '"').replace("\\&", "")


def read_page(name):
    return PAGES[name].read_text()


def page_examples(name):
    """The displays of a page in their order. A display that does not say what it is is a mistake."""
    found, lines = [], read_page(name).splitlines()
    for n, line in enumerate(lines):
        if not line.startswith(".Bd"):
            continue
        said = re.fullmatch(r'\.\\" example: (\w+)(?: (\w+))?', lines[n - 1])
        assert said and said[1] in KINDS and said[2] in (None, *ROLES), f"{name}:{n + 1}: say above the display what it is: {KINDS}"
        end = lines.index(".Ed", n)
        found.append(Example(name, n + 1, said[1], said[2], "\n".join(plain(row) for row in lines[n + 1:end]) + "\n"))
    return found


def examples(kind):
    """Every example of a kind in the whole manual; those of the kind host want systemd and root."""
    return [example for name in PAGES for example in page_examples(name) if example.kind == kind]


def section(name, title):
    """The lines of a section or subsection of a page."""
    lines = read_page(name).splitlines()
    start = next(n for n, line in enumerate(lines) if line in (f".Sh {title}", f".Ss {title}"))
    end = next((n for n in range(start + 1, len(lines)) if lines[n].startswith((".Sh ", ".Ss "))), len(lines))
    return lines[start:end]


def items(name, title):
    """The names that the items of a section's list begin with."""
    return [re.fullmatch(r"\.It (?:Cm |Ic |Vt )?(.+?)", line)[1] for line in section(name, title) if line.startswith(".It ")]
