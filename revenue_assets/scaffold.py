"""`revenue init`: a company's own folder beside the installed package, from templates that ship with it."""

from __future__ import annotations

from pathlib import Path

from revenue_assets.domain.strict_yaml import ConfigError
from revenue_assets.settings import PACKAGE

TEMPLATES = PACKAGE / "templates" / "company"
# Names that tools would act on if they stood in the package as they are.
_RENAMED = {"env.example": ".env.example", "gitignore": ".gitignore"}


def scaffold(directory: Path) -> list[Path]:
    """Writes config, dbt overlay and Dagster files into `directory` and returns them. Never overwrites: a folder that
    holds anything already is refused with ConfigError."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ConfigError(f"{directory} is not empty; `revenue init` writes into a new or empty folder only.")
    written = []
    for template in sorted(p for p in TEMPLATES.rglob("*") if p.is_file()):
        inside = template.relative_to(TEMPLATES)
        target = directory / inside.with_name(_RENAMED.get(inside.name, inside.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        text = template.read_text(encoding="utf-8")
        if template.name == "env.example":
            text = text.replace("{directory}", str(directory.absolute()))
        with target.open("x", encoding="utf-8") as file:  # never over a file that appeared meanwhile
            file.write(text)
        written.append(target)
    return written
