"""Checks de-identified DICOM files with another implementation (pydicom): python pydicom_check.py IN OUT TABLE.json

Prints one line of JSON: what was found over all files that are in OUT.
"""

import json
import pathlib
import sys
import warnings

import pydicom
from pydicom.tag import Tag

warnings.simplefilter("ignore")
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE


def table(path):
    document = json.load(open(path))
    rows = next(value for value in document.values() if isinstance(value, list) and len(value) > 600)
    listed = {}
    for row in rows:
        tag = row["tag"].strip("()").replace(",", "")
        if len(tag) == 8 and "x" not in tag and "g" not in tag:
            listed[Tag(int(tag, 16))] = row["basicProfile"]
    return listed


def walk(dataset, path=""):
    for element in dataset:
        yield f"{path}{element.tag}", element
        if element.VR == "SQ":
            for at, item in enumerate(element.value or []):
                yield from walk(item, f"{path}{element.tag}[{at}].")


def main():
    source, target, rows = map(pathlib.Path, sys.argv[1:])
    listed = table(rows)
    structure = {Tag(0x0040A730), Tag(0x00700001), Tag(0x00081140), Tag(0x00082112)}
    result = {"files": 0, "source_unreadable": 0, "values_kept": [], "private_left": 0, "uids_kept": 0, "uid_conflicts": 0, "unreadable": [], "pixels_changed": [], "unlisted_lost": [], "marked": 0}
    uids = {}
    for file in sorted(target.glob("*.dcm")):
        try:
            before = pydicom.dcmread(source / file.name, force=True)
            originals = dict(walk(before))
        except Exception:
            result["source_unreadable"] += 1
            continue
        try:
            after = pydicom.dcmread(file)
            cleaned = dict(walk(after))
        except Exception as error:
            result["unreadable"].append(f"{file.name}: {error}")
            continue
        result["files"] += 1
        result["marked"] += after.get("PatientIdentityRemoved") == "YES" and "DeidentificationMethodCodeSequence" in after
        for path, element in cleaned.items():
            if element.tag.is_private:
                result["private_left"] += 1
            action = listed.get(element.tag)
            old = originals.get(path)
            if old is None or action is None or element.tag in structure or element.VR == "SQ":
                continue
            if old.value not in (None, "", b"") and old.value == element.value and action != "K":
                # UIDs of the standard itself (SOP classes) identify nobody.
                if not str(old.value).startswith("1.2.840.10008.") and str(old.value) not in ("ANON", "19000101", "000000"):
                    result["values_kept"].append(f"{file.name} {path}")
            if element.VR == "UI" and isinstance(old.value, str) and old.value and not old.value.startswith("1.2.840.10008."):
                result["uids_kept"] += old.value == element.value
                result["uid_conflicts"] += uids.setdefault(old.value, element.value) != element.value
        for path, element in originals.items():
            gone = path not in cleaned
            inside = "[" in path
            if gone and not inside and not element.tag.is_private and element.tag not in listed and element.tag.element != 0:
                if not (0x5000 <= element.tag.group <= 0x60FF) and element.tag.group not in (0x0002, 0xFFFC):
                    result["unlisted_lost"].append(f"{file.name} {path}")
        if "PixelData" in before and before.get("PixelData") != after.get("PixelData"):
            result["pixels_changed"].append(file.name)
    print(json.dumps(result))


main()
