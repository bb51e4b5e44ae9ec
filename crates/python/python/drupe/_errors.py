"""What calls raise beyond the OSErrors that Python has: each is an OSError itself."""


class Error(OSError):
    """What is wrong with a kernel or an image. All others of this module are one."""


class KernelDied(Error):
    """The kernel has died (a bug of Linux's). Open the image with another one."""


class KernelHalted(Error):
    """The kernel has been halted or closed."""


class BootError(Error):
    """A kernel cannot be booted: there is too little memory, mostly."""


class ForkedError(Error):
    """The kernel stayed with the parent process of a fork. The child opens its own."""


class ImageError(Error):
    """The image is damaged, or of a kind that is not read."""


class ImageInUse(ImageError):
    """Another process has the image open."""


class MountError(Error):
    """The kernel does not mount it; the text is the kernel's own."""


class NoPartition(Error):
    """There is no such partition or volume, or there are several to choose from."""


class NoFilesystem(Error):
    """There is no filesystem that this kernel mounts."""


class Locked(Error):
    """It is encrypted, and there is no passphrase for it."""


class WrongPassphrase(Locked):
    """The passphrase is none of the volume's."""


class MissingDevice(Error):
    """The filesystem is on several images, and one is missing (``extra=``)."""


class JournalReplay(MountError):
    """It was not unmounted cleanly, and nothing may be written (``mode="c"``)."""


class TreeError(Error):
    """A copy or an archive ended early."""


class IncompleteError(TreeError):
    """Some files could not be copied; the others are.

    ``problems`` has a line for each of the first thousand.
    """

    problems: list[str]
