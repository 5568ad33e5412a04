#!/usr/bin/env python3
"""Writes communes.csv, France's communes, from the tarballs of two npm packages.

usage: make-communes.py DECOUPAGE-ADMINISTRATIF.tgz CODES-POSTAUX.tgz OUT.csv

Deterministic: the same tarballs give the same bytes (UTF-8, RFC 4180, CR LF). Values are those of the sources, unchanged; what a
source does not say is left empty. README.md beside this file names the versions and the licences.
"""
import csv
import json
import sys
import tarfile


def read_json(tarball, member):
    with tarfile.open(tarball) as archive:
        return json.load(archive.extractfile(f"package/{member}"))


def names_by_code(tarball, member):
    return {entry["code"]: entry["nom"] for entry in read_json(tarball, member)}


def postal_labels(tarball):
    """(code INSEE, postal code) -> the name that is written on letters."""
    entries = read_json(tarball, "codes-postaux.json")
    return {(entry["codeCommune"], entry["codePostal"]): entry["libelleAcheminement"] for entry in entries}


def main(decoupage, codes_postaux, out_path):
    departements = names_by_code(decoupage, "data/departements.json")
    regions = names_by_code(decoupage, "data/regions.json")
    labels = postal_labels(codes_postaux)
    # The other entries are former communes and the arrondissements of Paris, Lyon and Marseille: parts of a commune.
    communes = [entry for entry in read_json(decoupage, "data/communes.json") if entry["type"] == "commune-actuelle"]
    communes.sort(key=lambda commune: commune["code"])
    with open(out_path, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)  # RFC 4180: commas, quotes where needed, CR LF
        writer.writerow(
            ["code_insee", "nom", "code_departement", "departement", "code_region", "region", "population"]
            + ["libelle_acheminement", "codes_postaux"]
        )
        for commune in communes:
            postal_codes = commune.get("codesPostaux", [])
            label = labels.get((commune["code"], postal_codes[0]), "") if postal_codes else ""
            writer.writerow(
                [commune["code"], commune["nom"]]
                + [commune["departement"], departements[commune["departement"]]]
                + [commune["region"], regions[commune["region"]]]
                + [commune.get("population", ""), label, ",".join(postal_codes)]
            )


if len(sys.argv) != 4:
    sys.exit(__doc__)
main(*sys.argv[1:])
