"""Tables for `RESULTS.md`: each benchmark owns one section and replaces it."""

from __future__ import annotations

import os
import platform
import re
import sys
import textwrap
from pathlib import Path

import torch

RESULTS = Path(__file__).with_name("RESULTS.md")


def write_section(name: str, about: str, table: str) -> None:
    """Print a result and put it, with its command and machine, in place of the section of the same name."""
    script = Path(sys.argv[0])
    threads = [f"OMP_NUM_THREADS={count}" for count in [os.environ.get("OMP_NUM_THREADS")] if count]
    command = " ".join([*threads, "python", f"{script.parent.name}/{script.name}", *sys.argv[1:]])
    machine = f"{os.cpu_count()} cores of {_processor()}, torch {torch.__version__}"
    measured = _wrapped(f"`{command}`, on {machine}.")
    section = f"## {name}\n\n{_wrapped(about)}\n\n{table.strip()}\n\n{measured}\n"
    print(section)
    old = RESULTS.read_text("utf-8") if RESULTS.exists() else "# Measured results\n"
    pattern = re.compile(rf"^## {re.escape(name)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    found = pattern.search(old)
    new = pattern.sub(lambda _: section + "\n", old) if found else f"{old.rstrip()}\n\n{section}"
    RESULTS.write_text(new.rstrip() + "\n", "utf-8")


def _wrapped(text: str) -> str:
    """Paragraphs in lines of at most 100 columns, as in all Markdown here; lists stay as they are."""
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(
        one if "\n- " in f"\n{one}" else textwrap.fill(" ".join(one.split()), 100, break_on_hyphens=False)
        for one in paragraphs
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()
