"""Checks de-identified DICOM files with another implementation (pydicom).

python pydicom_check.py IN OUT TABLE.json [COLUMN ...]

COLUMN names the columns of table E.1-1 whose options were taken. Prints one line of JSON: what was found over all
files that are in OUT. Every list and count of faults must be empty or zero.
"""

import json
import pathlib
import re
import sys
import warnings

import pydicom
from pydicom.tag import Tag

warnings.simplefilter("ignore")
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

# Sequences that stay while what is in them is cleaned.
STRUCTURE = {Tag(0x0040A730), Tag(0x00700001), Tag(0x00081140), Tag(0x00082112)}
# UIDs of kinds of things (classes, coding schemes): PS3.15 does not list them.
KINDS = {Tag(tag) for tag in (0x00080016, 0x0008001A, 0x0008001B, 0x00080062, 0x0008010C, 0x00080117, 0x00081150, 0x0008115A)}
# Of content items the table of concepts (E.3.4-1) knows more than that of attributes.
CONTENT_UID = Tag(0x0040A124)
# Stand-ins, in the input as in the output.
DUMMIES = {"ANON", "19000101", "000000", "0", "000Y", "19000101000000"}
IDENTITY = [0x00100010, 0x00100020, 0x00101000, 0x00080050, 0x00080090, 0x00081050, 0x00081070, 0x00101040, 0x00102154, 0x00181000]


def table(path, columns):
    document = json.load(open(path))
    rows = next(value for value in document.values() if isinstance(value, list) and len(value) > 600)
    listed, kept, cleaned = {}, set(), set()
    for row in rows:
        tag = row["tag"].strip("()").replace(",", "")
        if len(tag) != 8 or "x" in tag or "g" in tag:
            continue
        tag = Tag(int(tag, 16))
        listed[tag] = row["basicProfile"]
        actions = {row.get(column) for column in columns}
        if "C" in actions:
            cleaned.add(tag)
        elif "K" in actions:
            kept.add(tag)
    return listed, kept, cleaned


def walk(dataset, path=""):
    for element in dataset:
        yield f"{path}{element.tag}", element
        if element.VR == "SQ":
            for at, item in enumerate(element.value or []):
                yield from walk(item, f"{path}{element.tag}[{at}].")


def standard(uid):
    return str(uid).startswith("1.2.840.10008.")


def names(dataset):
    """Words that identify: parts of names and IDs, of four letters or five digits at least."""
    words = set()
    for tag in IDENTITY:
        if tag in dataset:
            for word in re.split(r"[\W_]+", str(dataset[tag].value)):
                digits = sum(character.isdigit() for character in word)
                if (digits == 0 and len(word) >= 4 and tag in (0x00100010, 0x00080090, 0x00081050, 0x00081070)) or (digits >= 4 and len(word) >= 5):
                    words.add(word.upper())
    return words - {"ANON", "ANONYMOUS", "ANONYMIZED", "PATIENT", "TEST", "NAME", "UNKNOWN"}


def text_left(words, cleaned, kept):
    for path, element in cleaned.items():
        if element.VR in ("SQ", "UI", "TM") or element.tag in kept or element.value is None or isinstance(element.value, bytes) or path.startswith("(0012, 006"):
            continue
        found = set(re.split(r"[\W_]+", str(element.value).upper())) & words
        # A code may be a word of medicine that is somebody's name, too.
        if found and element.VR != "CS":
            yield path


def same_pixels(before, after):
    return all(before[tag].value == after[tag].value if tag in after else False for tag in (0x7FE00008, 0x7FE00009, 0x7FE00010) if tag in before)


def main():
    source, target, rows = map(pathlib.Path, sys.argv[1:4])
    listed, kept, cleaned_rows = table(rows, sys.argv[4:])
    options = set(sys.argv[4:])
    result = {"files": 0, "source_unreadable": 0, "values_kept": [], "text_left": [], "private_left": 0, "uids_kept": 0, "uid_conflicts": 0, "unreadable": [], "pixels_changed": [], "unlisted_lost": [], "wrongly_lost": [], "preamble": 0, "marked": 0}
    forward, backward = {}, {}
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
        result["preamble"] += any(after.preamble)
        result["marked"] += after.get("PatientIdentityRemoved") == "YES" and "DeidentificationMethodCodeSequence" in after
        result["text_left"] += [f"{file.name} {path}" for path in text_left(names(before), cleaned, kept)]
        for path, element in cleaned.items():
            if element.tag.is_private and "rtnSafePrivOpt" not in options:
                result["private_left"] += 1
            old = originals.get(path)
            if old is None or element.VR == "SQ":
                continue
            same = old.value not in (None, "", b"") and old.value == element.value
            if element.tag in listed and element.tag not in kept and same:
                # Cleaned text may have nothing to take out, a time of day does not move, machines keep their names.
                harmless = element.tag in cleaned_rows and element.VR in ("LO", "LT", "ST", "UT", "SH", "UC", "TM", "AE")
                if not harmless and not standard(old.value) and str(old.value) not in DUMMIES and element.tag not in STRUCTURE and not (element.tag == CONTENT_UID and "rtnUIDsOpt" in options):
                    result["values_kept"].append(f"{file.name} {path}")
            if element.tag in kept and old.value != element.value and "[" not in path:
                result["wrongly_lost"].append(f"{file.name} {path} {element.VR}")
            if element.VR == "UI" and element.tag not in KINDS and isinstance(old.value, str) and old.value and not standard(old.value) and "rtnUIDsOpt" not in options:
                result["uids_kept"] += same
                result["uid_conflicts"] += forward.setdefault(old.value, element.value) != element.value
                result["uid_conflicts"] += backward.setdefault(element.value, old.value) != old.value
        for path, element in originals.items():
            lost = path not in cleaned and "[" not in path
            if lost and element.tag in kept and element.tag.element != 0:
                result["wrongly_lost"].append(f"{file.name} {path}")
            if lost and not element.tag.is_private and element.tag not in listed and element.tag.element != 0:
                if not (0x5000 <= element.tag.group <= 0x60FF) and element.tag.group not in (0x0002, 0xFFFC):
                    result["unlisted_lost"].append(f"{file.name} {path}")
        if not same_pixels(before, after):
            result["pixels_changed"].append(file.name)
    print(json.dumps(result))


main()
