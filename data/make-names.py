#!/usr/bin/env python3
"""Writes first-names.txt and last-names.txt, one name a line, from the wheel of the PyPI package Faker.

usage: make-names.py FAKER.whl OUT-DIRECTORY

Deterministic: the lists of the fr_FR provider in their own order (last names: the most frequent first), repeats dropped.
The provider is read as text, never run. README.md beside this file names the version and the licence.
"""
import ast
import pathlib
import sys
import zipfile

PROVIDER = "faker/providers/person/fr_FR/__init__.py"


def name_lists(wheel):
    """Class attribute -> tuple of names, for the attributes that are plain tuples."""
    with zipfile.ZipFile(wheel) as archive:
        module = ast.parse(archive.read(PROVIDER))
    provider = next(node for node in module.body if isinstance(node, ast.ClassDef))
    assignments = [node for node in provider.body if isinstance(node, ast.Assign)]
    return {node.targets[0].id: ast.literal_eval(node.value) for node in assignments if isinstance(node.value, ast.Tuple)}


def write_lines(path, names):
    path.write_text("".join(f"{name}\n" for name in dict.fromkeys(names)), encoding="utf-8", newline="\n")


def main(wheel, directory):
    lists = name_lists(wheel)
    write_lines(pathlib.Path(directory, "first-names.txt"), lists["first_names_male"] + lists["first_names_female"])
    write_lines(pathlib.Path(directory, "last-names.txt"), lists["last_names"])


if len(sys.argv) != 3:
    sys.exit(__doc__)
main(*sys.argv[1:])
