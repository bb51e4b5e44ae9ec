#!/usr/bin/python3
"""Writes an LVM2 physical volume: group vg0 with the linear volume root.

Usage: make-lvm.py IMAGE CONTENT [OTHER]. IMAGE, a file of whole MiB, gets the
metadata, and the file CONTENT, of whole MiB, becomes the volume. OTHER, of the same
size, becomes a second physical volume of the group, with nothing on it. lvm2 itself
wants root.
"""

import struct
import sys
import zlib

MIB = 1 << 20
EXTENT = 1 * MIB
PVS = ["PVPVPV-PVPV-PVPV-PVPV-PVPV-PVPV-PVPVP" + end for end in "V2"]
AREA, AREA_LEN = 4096, MIB - 4096


def crc(data):
    return zlib.crc32(data, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def text(extents, size, count):
    physical = "".join(f"""\
pv{n} {{
id = "{PVS[n]}"
status = ["ALLOCATABLE"]
flags = []
dev_size = {size // 512}
pe_start = {MIB // 512}
pe_count = {size // EXTENT - 1}
}}
""" for n in range(count))
    return f"""\
vg0 {{
id = "VGVGVG-VGVG-VGVG-VGVG-VGVG-VGVG-VGVGVG"
seqno = 1
format = "lvm2"
status = ["RESIZEABLE", "READ", "WRITE"]
flags = []
extent_size = {EXTENT // 512}
max_lv = 0
max_pv = 0
metadata_copies = 0
physical_volumes {{
{physical}}}
logical_volumes {{
root {{
id = "LVLVLV-LVLV-LVLV-LVLV-LVLV-LVLV-LVLVLV"
status = ["READ", "WRITE", "VISIBLE"]
flags = []
segment_count = 1
segment1 {{
start_extent = 0
extent_count = {extents}
type = "striped"
stripe_count = 1
stripes = ["pv0", 0]
}}
}}
}}
}}
contents = "Text Format Volume Group"
version = 1
""".encode() + b"\0"


def write(image, pv, content, count):
    with open(image, "r+b") as file:
        size = file.seek(0, 2)
        metadata = text(len(content) // EXTENT, size, count)
        label = struct.pack("<32sQ", pv.replace("-", "").encode(), size)
        # Where data is, and where metadata is; each list ends with zeroes.
        label += struct.pack("<4Q", MIB, 0, 0, 0) + struct.pack("<4Q", AREA, AREA_LEN, 0, 0)
        label = (struct.pack("<L8s", 32, b"LVM2 001") + label).ljust(512 - 20, b"\0")
        header = struct.pack("<16sLQQ", b" LVM2 x[5A%r0N*>", 1, AREA, AREA_LEN)
        header += struct.pack("<QQLL", 512, len(metadata), crc(metadata), 0)
        header = header.ljust(512 - 4, b"\0")
        for offset, data in [
            (512, struct.pack("<8sQL", b"LABELONE", 1, crc(label)) + label),
            (AREA, struct.pack("<L", crc(header)) + header + metadata),
        ]:
            file.seek(offset)
            file.write(data)
        if pv == PVS[0]:
            file.seek(MIB)
            file.write(content)


def main():
    image, content, *others = sys.argv[1:]
    with open(content, "rb") as file:
        content = file.read()
    images = [image, *others]
    for path, pv in zip(images, PVS):
        write(path, pv, content, len(images))


main()
