"""What images and filesystems are, as objects."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._filesystem import FileSystem


@dataclasses.dataclass(frozen=True)
class VolumeInfo:
    """A disk, a partition or a volume of an image."""

    #: What ``drupe.open(…, partition=…)`` takes: "0" all of it, "2", "vg/root", "3/luks".
    id: str
    #: "disk", "partition", "luks", "logical" or "array".
    kind: str
    #: Bytes.
    size: int
    #: Bytes from the start of the disk or volume.
    start: int
    #: What is on it: "ext4", "crypto_LUKS", "swap". None: nothing known.
    type: str | None
    #: The label of what is on it.
    label: str | None
    #: The UUID of what is on it.
    uuid: str | None
    #: Whether ``drupe.open`` mounts it.
    mountable: bool
    #: The ids of what it is made of.
    parents: tuple[str, ...]
    #: Its name in a GPT.
    partition_name: str | None = None
    #: Its own UUID in the partition table.
    partition_uuid: str | None = None
    #: Its type in the partition table, as text if that is known.
    partition_type: str | None = None
    #: Why nothing could be made of what is on it.
    trouble: str | None = None


@dataclasses.dataclass(frozen=True)
class ImageInfo:
    """An image and what is on it. From ``drupe.info``."""

    #: "raw", "qcow2", "vmdk", "vhdx", "vhd", "vdi", "nbd"; None: a Python object.
    format: str | None
    #: Bytes of the disk, not of the file.
    size: int
    #: Bytes of a logical block.
    block_size: int
    #: "gpt" or "dos"; None: no partition table.
    table: str | None
    #: What is damaged of the partition table.
    damage: str | None
    #: The disk, its partitions, and the volumes that are made of them.
    volumes: tuple[VolumeInfo, ...]

    @property
    def partitions(self) -> tuple[VolumeInfo, ...]:
        """The partitions among the volumes."""
        return tuple(volume for volume in self.volumes if volume.kind == "partition")

    @property
    def filesystems(self) -> tuple[VolumeInfo, ...]:
        """The volumes that can be mounted."""
        return tuple(volume for volume in self.volumes if volume.mountable)

    @staticmethod
    def _of(disk: Any, found: list[dict[str, Any]]) -> ImageInfo:
        table = None
        volumes = []
        for volume in found:
            partition = volume["partition"]
            on = volume["found"] or {}
            entry = partition.entry() or {}
            table = table or entry.get("table")
            volumes.append(
                VolumeInfo(
                    id=volume["id"],
                    kind=volume["kind"],
                    size=partition.size,
                    start=partition.start,
                    type=on.get("type"),
                    label=on.get("label"),
                    uuid=on.get("uuid"),
                    mountable=on.get("mountable", False),
                    parents=tuple(found[parent]["id"] for parent in volume["parents"]),
                    partition_name=entry.get("name"),
                    partition_uuid=entry.get("uuid"),
                    partition_type=entry.get("kind_name") or entry.get("kind"),
                    trouble=volume["trouble"],
                )
            )
        return ImageInfo(
            format=disk.format,
            size=disk.size,
            block_size=disk.block_size,
            table=table,
            damage=disk.damage(),
            volumes=tuple(volumes),
        )


@dataclasses.dataclass(frozen=True)
class FileSystemInfo:
    """A mounted filesystem. From ``FileSystem.info``."""

    #: "ext4"; None for one of the kernel's own.
    type: str | None
    label: str | None
    uuid: str | None
    #: The name of its device in the kernel: "vda1".
    device: str | None
    #: Bytes.
    size: int
    #: Bytes that are free.
    free: int
    #: Bytes that are free for users.
    available: int
    #: Inodes; 0: as many as there is room for.
    files: int
    files_free: int
    read_only: bool

    @staticmethod
    def _of(fs: FileSystem) -> FileSystemInfo:
        block, total, free, available, files, files_free, flags, _, _ = fs._native.statfs()
        partition = fs._native.partition()
        on = (partition and partition.probe()) or {}
        return FileSystemInfo(
            type=on.get("type"),
            label=on.get("label"),
            uuid=on.get("uuid"),
            device=partition.name if partition else None,
            size=total * block,
            free=free * block,
            available=available * block,
            files=files,
            files_free=files_free,
            read_only=bool(flags & 1),
        )
