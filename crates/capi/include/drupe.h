/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * drupe: the Linux kernel as a library.
 *
 * A program links libdrupe, boots an unmodified Linux inside its own process, and calls
 * it: disk images and their filesystems without root, Linux' own sockets.
 *
 *     drupe_error *error = NULL;
 *     drupe_kernel *kernel = drupe_kernel_boot(NULL, &error);
 *
 * These rules hold for every call, unless it says otherwise:
 *
 * Results. A call returns 0, or -1 when it has failed; one that makes a handle returns
 *   the handle, or NULL. What else it tells goes where its last arguments but one point
 *   to, and is written on success only.
 * Errors. The last argument is where a failed call leaves a new error, which the caller
 *   owns: drupe_error_free(). It is not written to on success. NULL: the caller does not
 *   want to know.
 * Arguments. No other pointer may be NULL, unless it says "or NULL"; NULL is found out
 *   (DRUPE_ERROR_ARGUMENT). Pointers must be valid until the call returns, and the library
 *   keeps none of them. Handles that have been freed, and memory that is not there, are
 *   the caller's fault, and not found out.
 * Texts end with a NUL. Paths are bytes; other texts are UTF-8.
 * Handles. Each is freed once, with the function named where it is made, in any order: a
 *   mount keeps its disk and a file its mount, so that the last handle of them unmounts,
 *   removes, halts. To free NULL does nothing. Freeing cannot tell of errors:
 *   drupe_umount(), drupe_disk_remove() and drupe_kernel_halt() do.
 * Threads. Any thread may make any call, with the same handles too, at the same time. To
 *   free a handle, nobody else may be using it. A thread needs no preparation.
 * Callbacks may run in any thread of the program or of the library. They must return (no
 *   longjmp, no exception), and must not call into the kernel that calls them, to halt it
 *   neither (DRUPE_ERROR_REENTERED).
 * fork(2). Kernels stay with the parent: calls in the child fail (DRUPE_ERROR_FORKED). It
 *   may boot its own.
 * Signals. The library handles SIGSEGV, SIGBUS, SIGFPE and SIGILL, for faults that are a
 *   kernel's, and passes all others on to the handlers that were there before the first
 *   kernel. A kernel needs them for pointers that are not valid (EFAULT); valid ones never
 *   need a signal. So a program that replaces the handlers later, or a thread that blocks
 *   these signals after its first call, may only pass valid pointers; a thread that blocks
 *   them before has them unblocked during each call.
 *   A handler of the program's does not end the call that it interrupts, with SA_RESTART
 *   or without: the call goes on when the handler returns. What ends calls that block is
 *   drupe_interrupt(), from another thread, and drupe_deadline_set().
 * Structures of options begin with their size, which DRUPE_INIT() sets; it zeroes the
 *   rest, which means the defaults. NULL in their place means all defaults.
 *
 * Numbers of errno, flags of open(2), modes, MSG_* and the like are those of Linux on
 * x86-64, as the system's headers have them. Numbers of system calls are not: they are in
 * drupe_nr.h.
 */
#ifndef DRUPE_H
#define DRUPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface; drupe_api_version() has that of the library. Until it is
 * 2, it only grows. */
#define DRUPE_API_VERSION 1

/* Zeroes a structure of options and sets its size: DRUPE_INIT(&options). */
#define DRUPE_INIT(options) \
	(memset((options), 0, sizeof(*(options))), (void)((options)->size = sizeof(*(options))))

typedef struct drupe_error drupe_error;             /* what went wrong */
typedef struct drupe_kernel drupe_kernel;           /* a running Linux */
typedef struct drupe_disk drupe_disk;               /* a disk of a kernel */
typedef struct drupe_partition drupe_partition;     /* a block device: a partition, a volume */
typedef struct drupe_volumes drupe_volumes;         /* all that is on some disks */
typedef struct drupe_mount drupe_mount;             /* a mounted filesystem */
typedef struct drupe_file drupe_file;               /* an open file */
typedef struct drupe_dir drupe_dir;                 /* a directory that is read */
typedef struct drupe_cancel drupe_cancel;           /* ends a copy early */
typedef struct drupe_socket drupe_socket;           /* a socket of a kernel */
typedef struct drupe_poll drupe_poll;               /* waits for many sockets */
typedef struct drupe_interrupter drupe_interrupter; /* ends the calls of a thread */

/* ---- Errors and versions ---------------------------------------------------------- */

/* Errors that are none of errno's. drupe_error_code() gives these, or a number of errno
 * (1 to 4095) when the kernel or the host answered with one. */
enum drupe_error_code {
	DRUPE_ERROR_ARGUMENT = 10001,       /* NULL, an unknown flag: the message has the name */
	DRUPE_ERROR_PANIC = 10002,          /* a bug of drupe */
	DRUPE_ERROR_DEAD = 10003,           /* the kernel has died; drupe_kernel_log() says how */
	DRUPE_ERROR_HALTED = 10004,         /* the kernel has been halted */
	DRUPE_ERROR_REENTERED = 10005,      /* a call from a callback or a signal handler */
	DRUPE_ERROR_DEADLINE = 10006,       /* not over in time: drupe_deadline_set() */
	DRUPE_ERROR_FORKED = 10007,         /* the kernel stayed with the parent process */
	DRUPE_ERROR_BOOT = 10008,           /* the kernel could not be booted */
	DRUPE_ERROR_IMAGE = 10009,          /* the image file is damaged, or of no known format */
	DRUPE_ERROR_IN_USE = 10010,         /* somebody else uses the image file */
	DRUPE_ERROR_CUT_SHORT = 10011,      /* the disk ends before what is on it does */
	DRUPE_ERROR_NO_PARTITION = 10012,   /* no partition or volume of this name */
	DRUPE_ERROR_NO_FILESYSTEM = 10013,  /* nothing that can be mounted */
	DRUPE_ERROR_NO_DRIVER = 10014,      /* a filesystem that this kernel does not have */
	DRUPE_ERROR_LOCKED = 10015,         /* encrypted, and there was no passphrase */
	DRUPE_ERROR_PASSPHRASE = 10016,     /* the wrong passphrase */
	DRUPE_ERROR_VOLUME = 10017,         /* a damaged table, LUKS header, LVM group, array */
	DRUPE_ERROR_MISSING_DEVICE = 10018, /* the filesystem is on more disks than there are */
	DRUPE_ERROR_JOURNAL = 10019,        /* a journal to replay, on a read-only disk */
	DRUPE_ERROR_CANCELLED = 10020,      /* drupe_cancel_set() */
	DRUPE_ERROR_INCOMPLETE = 10021,     /* some files could not be copied, the rest is */
	DRUPE_ERROR_OTHER = 10022           /* see the message */
};

/* The number of an error: of errno, or of enum drupe_error_code. 0 of NULL. */
int drupe_error_code(const drupe_error *error);

/* What happened, on one line: "open /etc/passwd: No such file or directory (ENOENT)".
 * Valid until the error is freed. "" of NULL. */
const char *drupe_error_message(const drupe_error *error);

/* Frees an error. */
void drupe_error_free(drupe_error *error);

/* DRUPE_API_VERSION of the library: no less than that of the header, or calls are
 * missing. */
uint32_t drupe_api_version(void);

/* The version of drupe: "0.1.0". Valid for ever. */
const char *drupe_version(void);

/* Frees memory that a call has allocated for the caller; it says so. */
void drupe_free(void *memory);

/* ---- Kernels ---------------------------------------------------------------------- */

/* Gets a piece of a kernel's log, `len` bytes without a NUL, as it is printed. */
typedef void drupe_log_callback(void *data, const char *text, size_t len);

#define DRUPE_COLD_BOOT 1u   /* boot; otherwise a kernel starts from a snapshot */
#define DRUPE_SMALL_PAGES 2u /* less memory for each of many kernels, and slower */

struct drupe_kernel_options {
	size_t size;
	uint64_t memory;          /* bytes, at least 24 MiB; default 64 MiB */
	const char *command_line; /* added to the kernel's, or NULL */
	drupe_log_callback *log;  /* or NULL; runs until the kernel has halted */
	void *log_data;           /* what `log` gets */
	uint32_t flags;           /* DRUPE_COLD_BOOT, DRUPE_SMALL_PAGES */
	uint32_t spare;           /* 0 */
};

/* Boots a kernel, in about a millisecond; with another memory size or a command line in
 * about four. As many as you like run side by side. drupe_kernel_free().
 * Errors: DRUPE_ERROR_BOOT, ENOMEM. */
drupe_kernel *drupe_kernel_boot(const struct drupe_kernel_options *options,
				drupe_error **error);

/* Halts it now, whoever else has handles: their calls fail from then on
 * (DRUPE_ERROR_HALTED). What is mounted is written out, and left clean unless files are
 * open for writing. Returns the first error of that; the kernel has halted in any case. */
int drupe_kernel_halt(drupe_kernel *kernel, drupe_error **error);

/* Frees a handle; the kernel halts with the last of what is in it. */
void drupe_kernel_free(drupe_kernel *kernel);

/* All that it has logged so far, also after it has halted or died. drupe_free(). */
int drupe_kernel_log(drupe_kernel *kernel, char **text, drupe_error **error);

/* Linux' version, as of uname -r: "6.12.…". drupe_free(). */
int drupe_kernel_release(drupe_kernel *kernel, char **release, drupe_error **error);

/* Any system call, made by the calling thread's own task in the kernel. `number` is one of
 * DRUPE_NR_* in drupe_nr.h: those of <sys/syscall.h> are others. `arguments`: six words.
 * The call reads and writes the memory that they point to; descriptors are the kernel's,
 * and those that belong to handles must stay open. Processes, programs and mappings of
 * memory are ENOSYS. Errors: those of the call. */
int drupe_syscall(drupe_kernel *kernel, int64_t number, const uint64_t arguments[6],
		  uint64_t *result, drupe_error **error);

/* ---- Disks ------------------------------------------------------------------------ */

#define DRUPE_READ_ONLY 1u     /* never write */
#define DRUPE_COPY_ON_WRITE 2u /* keep what is written in memory, and the file as it is */
#define DRUPE_BACKING 4u       /* open other files that the image names: trust it */

struct drupe_disk_options {
	size_t size;
	const char *format;  /* "raw", "qcow2", "vmdk", "vhdx", "vhd", "vdi"; NULL: its first bytes tell */
	uint32_t block_size; /* bytes: 512 to 4096; 0: the image's own, or 512 */
	uint32_t flags;      /* DRUPE_READ_ONLY, DRUPE_COPY_ON_WRITE, DRUPE_BACKING */
};

/* Adds an image file or a block device of the host, which is locked against others
 * (flock(2)). Its partitions have been read on return. drupe_disk_free().
 * Errors: those of open(2), DRUPE_ERROR_IN_USE, DRUPE_ERROR_IMAGE. */
drupe_disk *drupe_disk_add_file(drupe_kernel *kernel, const char *path,
				const struct drupe_disk_options *options,
				drupe_error **error);

/* Adds the disk of an NBD server: "nbd://HOST[:PORT]/EXPORT" or
 * "nbd+unix:///EXPORT?socket=PATH". drupe_disk_free(). */
drupe_disk *drupe_disk_add_uri(drupe_kernel *kernel, const char *uri,
			       const struct drupe_disk_options *options, drupe_error **error);

/* Adds `len` bytes of memory as a disk, which reads and writes them where they are. They
 * are the disk's until it, and every handle to what is on it, is freed: nobody else writes
 * to them before that, and who reads may see a write in the middle. Of the options,
 * `block_size` and DRUPE_READ_ONLY count. drupe_disk_free(). */
drupe_disk *drupe_disk_add_buffer(drupe_kernel *kernel, void *buffer, size_t len,
				  const struct drupe_disk_options *options,
				  drupe_error **error);

/*
 * A disk of functions of the program's. Each gets `data` and returns 0, or a number of
 * errno: an I/O error for the kernel, but for ENOSPC and a few others.
 *
 * They are called by several threads at the same time (up to four), none of which the
 * program knows. Offsets and lengths are in bytes, multiples of the block size and within
 * the disk. Requests on their way at the same time have no order; writes that a flush is to
 * cover have returned before it is called.
 */
struct drupe_disk_callbacks {
	size_t size;
	uint64_t bytes;      /* size of the disk */
	uint32_t block_size; /* bytes: 512, 1024, 2048 or 4096; 0: 512 */
	uint32_t flags;      /* DRUPE_READ_ONLY */
	/* Fills all of the buffer. */
	int (*read)(void *data, void *buffer, size_t len, uint64_t offset);
	/* Writes all of the buffer. NULL: the disk is read-only. */
	int (*write)(void *data, const void *buffer, size_t len, uint64_t offset);
	/* Makes what was written durable. NULL: it is already. */
	int (*flush)(void *data);
	/* The content of a range is not needed any more. NULL: the disk can't. */
	int (*discard)(void *data, uint64_t offset, uint64_t len);
	/* Called once, when no function will be called any more, also if the kernel does not
	 * take the disk; but not after DRUPE_ERROR_ARGUMENT. Or NULL. */
	void (*release)(void *data);
};

/* Adds such a disk. The structure is copied. drupe_disk_free(). */
drupe_disk *drupe_disk_add_callbacks(drupe_kernel *kernel,
				     const struct drupe_disk_callbacks *callbacks, void *data,
				     drupe_error **error);

/* Removes a disk from its kernel; calls that want to use it fail from then on. The handle
 * is to be freed all the same. Errors: EBUSY while something of it is mounted. */
int drupe_disk_remove(drupe_disk *disk, drupe_error **error);

/* Frees a handle; the disk is removed with the last handle to it. */
void drupe_disk_free(drupe_disk *disk);

struct drupe_disk_info {
	uint64_t bytes;      /* size */
	uint32_t block_size; /* bytes */
	uint32_t flags;      /* DRUPE_READ_ONLY: nothing can be written to it */
	char device[32];     /* its name in the kernel: "vda" */
	char format[16];     /* "raw", "qcow2"; "" of buffers and callbacks */
	uint64_t spare[8];
};

/* What is known of a disk. */
int drupe_disk_info(drupe_disk *disk, struct drupe_disk_info *info, drupe_error **error);

/* ---- Partitions and volumes ------------------------------------------------------- */

/* The numbers of the partitions of a disk, counted from 1, also of a GPT that can only be
 * read from its backup. At most `capacity` of them are written to `numbers` (or NULL, with
 * 0); `count` is how many there are. Errors: DRUPE_ERROR_VOLUME. */
int drupe_disk_partitions(drupe_disk *disk, uint32_t *numbers, size_t capacity,
			  size_t *count, drupe_error **error);

/* All of a disk, for a filesystem without a partition table. drupe_partition_free(). */
drupe_partition *drupe_disk_whole(drupe_disk *disk, drupe_error **error);

/* The partition of a number. drupe_partition_free().
 * Errors: DRUPE_ERROR_NO_PARTITION; the message has the numbers that there are. */
drupe_partition *drupe_disk_partition(drupe_disk *disk, uint32_t number,
				      drupe_error **error);

/* The first partition, or the whole disk, with this name in the GPT, or with a filesystem
 * or volume of this label. drupe_partition_free(). Errors: DRUPE_ERROR_NO_PARTITION. */
drupe_partition *drupe_disk_partition_labelled(drupe_disk *disk, const char *label,
					       drupe_error **error);

/* Frees a handle. */
void drupe_partition_free(drupe_partition *partition);

struct drupe_partition_info {
	uint64_t start;     /* bytes from the start of the disk */
	uint64_t bytes;     /* size */
	uint32_t number;    /* counted from 1; 0: the whole disk, or a volume */
	uint32_t flags;     /* DRUPE_READ_ONLY: nothing can be written to it */
	char device[32];    /* its name in the kernel: "vda1" */
	char type[32];      /* what is on it, by blkid's names: "ext4", "crypto_LUKS", "" */
	char label[264];    /* of the filesystem, or "" */
	char uuid[64];      /* of the filesystem, or "" */
	char name[128];     /* of the partition in a GPT, or "" */
	char part_uuid[64]; /* of the partition, or "" */
	uint64_t spare[8];
};

/* What is known of a partition. */
int drupe_partition_info(drupe_partition *partition, struct drupe_partition_info *info,
			 drupe_error **error);

/* Opens the LUKS volume on a partition with a passphrase of `len` bytes. Takes the time and
 * memory that the volume's maker has chosen, usually two seconds and 1 GiB.
 * drupe_partition_free().
 * Errors: DRUPE_ERROR_PASSPHRASE, DRUPE_ERROR_VOLUME. */
drupe_partition *drupe_partition_unlock(drupe_partition *partition, const void *passphrase,
					size_t len, drupe_error **error);

/* Asked for the passphrase of the LUKS volume on `id`; `wrong` passphrases have been tried.
 * Writes at most `capacity` bytes to `buffer` and returns how many, or -1: there is none.
 * The buffer is wiped afterwards. */
typedef ptrdiff_t drupe_passphrase_callback(void *data, const char *id, uint32_t wrong,
					    char *buffer, size_t capacity);

/* Finds all that is on `count` disks: partitions, LUKS volumes, which it unlocks, LVM's
 * logical volumes, md arrays. All disks are this kernel's. `passphrase` may be NULL.
 * drupe_volumes_free(). */
drupe_volumes *drupe_volumes_find(drupe_kernel *kernel, drupe_disk *const disks[],
				  size_t count, drupe_passphrase_callback *passphrase,
				  void *data, drupe_error **error);

/* How many there are. 0 of NULL. */
size_t drupe_volumes_count(const drupe_volumes *volumes);

/* The name of one, by its index from 0: "0" (a whole disk), "2" (a partition), "VG/LV",
 * "md/NAME", "1/luks". Valid until the volumes are freed. */
int drupe_volumes_id(drupe_volumes *volumes, size_t index, const char **id,
		     drupe_error **error);

/* -1, and why nothing could be made of what is on one: DRUPE_ERROR_LOCKED,
 * DRUPE_ERROR_PASSPHRASE, DRUPE_ERROR_VOLUME. 0: there was nothing wrong. */
int drupe_volumes_trouble(drupe_volumes *volumes, size_t index, drupe_error **error);

/* The volume of a name, of the first disk that has one. drupe_partition_free().
 * Errors: DRUPE_ERROR_NO_PARTITION. */
drupe_partition *drupe_volumes_open(drupe_volumes *volumes, const char *id,
				    drupe_error **error);

/* Frees a handle. */
void drupe_volumes_free(drupe_volumes *volumes);

/* ---- Mounts ----------------------------------------------------------------------- */

struct drupe_mount_options {
	size_t size;
	const char *fstype;  /* the kernel's name of the type; NULL: it is detected */
	const char *options; /* as of mount -o: "noatime,compress=zstd"; or NULL */
	uint32_t flags;      /* DRUPE_READ_ONLY */
	uint32_t spare;      /* 0 */
};

/* Mounts the filesystem on a partition. Its device nodes and set-user-ID bits are data
 * only. Not written to if the disk is read-only. drupe_umount() or drupe_mount_free().
 * Errors: DRUPE_ERROR_NO_FILESYSTEM, DRUPE_ERROR_NO_DRIVER, DRUPE_ERROR_JOURNAL,
 * DRUPE_ERROR_CUT_SHORT, DRUPE_ERROR_MISSING_DEVICE, those of mount(2). */
drupe_mount *drupe_partition_mount(drupe_partition *partition,
				   const struct drupe_mount_options *options,
				   drupe_error **error);

/* Mounts a filesystem that needs no disk: "tmpfs", "proc". drupe_umount() or
 * drupe_mount_free(). */
drupe_mount *drupe_mount_virtual(drupe_kernel *kernel, const char *fstype,
				 const struct drupe_mount_options *options,
				 drupe_error **error);

/* Writes everything out, unmounts, and frees the handle, also when it fails. EBUSY while
 * files or directories are open: the last of them unmounts it then. */
int drupe_umount(drupe_mount *mount, drupe_error **error);

/* The same, without a word about errors. */
void drupe_mount_free(drupe_mount *mount);

/* Writes everything out (syncfs(2)), and tells of errors of earlier writes. */
int drupe_mount_sync(drupe_mount *mount, drupe_error **error);

/* Discards what is free (fstrim(8)): it becomes holes of an image file. `bytes`: how many.
 * Errors: EOPNOTSUPP. */
int drupe_mount_trim(drupe_mount *mount, uint64_t *bytes, drupe_error **error);

struct drupe_statfs {
	uint64_t block_size;      /* bytes */
	uint64_t bytes;           /* size of the filesystem */
	uint64_t bytes_free;      /* of these, free */
	uint64_t bytes_available; /* of these, free for ordinary users */
	uint64_t files;           /* inodes */
	uint64_t files_free;      /* of these, free */
	uint64_t name_max;        /* bytes of a name */
	uint64_t magic;           /* its type (statfs(2)) */
	uint32_t flags;           /* DRUPE_READ_ONLY */
	uint32_t spare_flags;
	uint64_t spare[7];
};

/* Sizes of a filesystem (statfs(2)). */
int drupe_statfs(drupe_mount *mount, struct drupe_statfs *info, drupe_error **error);

/* ---- Files by their paths --------------------------------------------------------- */
/*
 * Paths start at the root of the mount, with or without a slash; neither ".." nor a
 * symbolic link leads out of it. All is done as root of the image, without a umask.
 */

#define DRUPE_NOFOLLOW 1u /* if the path ends in a symbolic link, that itself is meant */

#define DRUPE_TIME_NOW 0x3fffffffu  /* nsec: the time of the kernel's clock */
#define DRUPE_TIME_OMIT 0x3ffffffeu /* nsec: leave the time as it is */

struct drupe_time {
	int64_t sec;    /* seconds since 1970, negative before */
	uint32_t nsec;  /* 0 to 999,999,999 */
	uint32_t spare;
};

struct drupe_stat {
	uint64_t ino;
	uint64_t dev;        /* as makedev(3) has it */
	uint64_t rdev;       /* of a device */
	uint64_t size;       /* bytes */
	uint64_t blocks;     /* of 512 bytes, occupied */
	uint32_t nlink;
	uint32_t mode;       /* type and permissions */
	uint32_t uid;
	uint32_t gid;
	uint32_t block_size; /* bytes, to read at once */
	uint32_t spare_int;
	struct drupe_time atime; /* last read */
	struct drupe_time mtime; /* contents changed */
	struct drupe_time ctime; /* attributes changed */
	struct drupe_time btime; /* made; 0 where it is not kept */
	uint64_t spare[4];
};

/* What is known of a file. `flags`: DRUPE_NOFOLLOW. */
int drupe_stat(drupe_mount *mount, const char *path, uint32_t flags,
	       struct drupe_stat *stat, drupe_error **error);

/* Makes a directory with these permissions. */
int drupe_mkdir(drupe_mount *mount, const char *path, uint32_t mode, drupe_error **error);

/* Makes a directory and those above it that are missing, of mode 0755. It may be there. */
int drupe_mkdir_all(drupe_mount *mount, const char *path, drupe_error **error);

/* Makes a device, fifo, socket or file, with type and permissions in `mode`. */
int drupe_mknod(drupe_mount *mount, const char *path, uint32_t mode, uint32_t major,
		uint32_t minor, drupe_error **error);

/* Removes a file, not a directory. */
int drupe_unlink(drupe_mount *mount, const char *path, drupe_error **error);

/* Removes an empty directory. */
int drupe_rmdir(drupe_mount *mount, const char *path, drupe_error **error);

/* Removes a directory with all that is in it. Nothing of one whose path has no name at its
 * end: "/", ".", "..". Errors: EBUSY. */
int drupe_rmdir_all(drupe_mount *mount, const char *path, drupe_error **error);

/* Gives a file another path in the same mount; what had that path is replaced. */
int drupe_rename(drupe_mount *mount, const char *from, const char *to, drupe_error **error);

/* Makes another name of a file: a hard link. */
int drupe_link(drupe_mount *mount, const char *original, const char *link,
	       drupe_error **error);

/* Makes a symbolic link that says `target`. */
int drupe_symlink(drupe_mount *mount, const char *target, const char *link,
		  drupe_error **error);

/* What a symbolic link says. drupe_free(). */
int drupe_readlink(drupe_mount *mount, const char *path, char **target,
		   drupe_error **error);

/* Sets permissions: twelve bits. Follows symbolic links. */
int drupe_chmod(drupe_mount *mount, const char *path, uint32_t mode, drupe_error **error);

/* Sets owner and group; UINT32_MAX leaves one as it is. `flags`: DRUPE_NOFOLLOW. */
int drupe_chown(drupe_mount *mount, const char *path, uint32_t uid, uint32_t gid,
		uint32_t flags, drupe_error **error);

/* Sets the times of last access (`times[0]`) and change of contents (`times[1]`); NULL:
 * both to now. `flags`: DRUPE_NOFOLLOW. */
int drupe_utimens(drupe_mount *mount, const char *path, const struct drupe_time times[2],
		  uint32_t flags, drupe_error **error);

/* Cuts a file off, or extends it with a hole. */
int drupe_truncate(drupe_mount *mount, const char *path, uint64_t len, drupe_error **error);

/* The value of an extended attribute ("user.note"), `len` bytes; a NUL behind them does not
 * count. drupe_free(). `flags`: DRUPE_NOFOLLOW. Errors: ENODATA. */
int drupe_getxattr(drupe_mount *mount, const char *path, const char *name, uint32_t flags,
		   char **value, size_t *len, drupe_error **error);

/* Sets an extended attribute to `len` bytes. `flags`: DRUPE_NOFOLLOW. */
int drupe_setxattr(drupe_mount *mount, const char *path, const char *name,
		   const void *value, size_t len, uint32_t flags, drupe_error **error);

/* The names of all extended attributes, each with a NUL behind it, `len` bytes of all.
 * drupe_free(). `flags`: DRUPE_NOFOLLOW. */
int drupe_listxattr(drupe_mount *mount, const char *path, uint32_t flags, char **names,
		    size_t *len, drupe_error **error);

/* Removes an extended attribute. `flags`: DRUPE_NOFOLLOW. Errors: ENODATA. */
int drupe_removexattr(drupe_mount *mount, const char *path, const char *name,
		      uint32_t flags, drupe_error **error);

/* ---- Open files and directories --------------------------------------------------- */

/* Opens a file with flags of open(2): O_RDONLY, O_WRONLY or O_RDWR, and O_CREAT, O_EXCL,
 * O_TRUNC, O_APPEND and the like. `mode`: permissions of a file that is made.
 * drupe_file_close(). */
drupe_file *drupe_open(drupe_mount *mount, const char *path, int flags, uint32_t mode,
		       drupe_error **error);

/* Closes a file. Errors of writes that were kept back: drupe_file_sync() tells. */
void drupe_file_close(drupe_file *file);

/* Reads at most `len` bytes at the file's position and moves it. `done`: how many, 0 at
 * the end. */
int drupe_file_read(drupe_file *file, void *buffer, size_t len, size_t *done,
		    drupe_error **error);

/* Writes at most `len` bytes at the file's position and moves it. `done`: how many; less
 * than `len` when the disk is full, say. */
int drupe_file_write(drupe_file *file, const void *buffer, size_t len, size_t *done,
		     drupe_error **error);

/* Reads at an offset, without the position. */
int drupe_file_pread(drupe_file *file, void *buffer, size_t len, uint64_t offset,
		     size_t *done, drupe_error **error);

/* Writes at an offset, without the position. */
int drupe_file_pwrite(drupe_file *file, const void *buffer, size_t len, uint64_t offset,
		      size_t *done, drupe_error **error);

/* Moves the position. `whence`: SEEK_SET, SEEK_CUR, SEEK_END. `position`, or NULL: where
 * it is now. */
int drupe_file_seek(drupe_file *file, int64_t offset, int whence, uint64_t *position,
		    drupe_error **error);

/* Cuts the file off, or extends it with a hole. */
int drupe_file_truncate(drupe_file *file, uint64_t len, drupe_error **error);

#define DRUPE_DATA_ONLY 1u /* as fdatasync(2): not the times */

/* Makes the file durable (fsync(2)). `flags`: DRUPE_DATA_ONLY. */
int drupe_file_sync(drupe_file *file, uint32_t flags, drupe_error **error);

/* What is known of the file. */
int drupe_file_stat(drupe_file *file, struct drupe_stat *stat, drupe_error **error);

/* Sets its permissions: twelve bits. */
int drupe_file_chmod(drupe_file *file, uint32_t mode, drupe_error **error);

/* Its descriptor in the kernel, for drupe_syscall(). The file still owns it. */
int drupe_file_descriptor(drupe_file *file, int *number, drupe_error **error);

/* Opens a directory to read its entries. drupe_dir_close(). */
drupe_dir *drupe_dir_open(drupe_mount *mount, const char *path, drupe_error **error);

/* The next entry, in the filesystem's order, without "." and "..". Returns 1; 0 at the
 * end; -1. `name` is valid until the next call with this directory, which therefore should
 * be one thread's. `type` (DT_* of <dirent.h>) and `ino` may be NULL. */
int drupe_dir_read(drupe_dir *dir, const char **name, uint32_t *type, uint64_t *ino,
		   drupe_error **error);

/* Closes a directory. */
void drupe_dir_close(drupe_dir *dir);

/* ---- Trees of files --------------------------------------------------------------- */

#define DRUPE_ARCHIVE 1u       /* as cp -a: owners, times, links, extended attributes, … */
#define DRUPE_NUMERIC_OWNER 2u /* tar: owners by number, not by the names of the image's */

#define DRUPE_GZIP 1u
#define DRUPE_ZSTD 2u
#define DRUPE_XZ 3u

/* Hears of a file that could not be done, and of what was left out. */
typedef void drupe_problem_callback(void *data, const char *message);

struct drupe_tree_options {
	size_t size;
	uint32_t flags;                  /* DRUPE_ARCHIVE of copies, DRUPE_NUMERIC_OWNER of tar */
	uint32_t compression;            /* of drupe_tar(): 0, or DRUPE_GZIP, _ZSTD, _XZ */
	drupe_problem_callback *problem; /* or NULL */
	void *problem_data;              /* what `problem` gets */
	drupe_cancel *cancel;            /* what may end the call early, or NULL */
};

/*
 * Copies follow the rules of cp -r: into a directory that is there, otherwise to a new
 * name. A file that is replaced stays until its successor is complete. What cannot be done
 * of one file is told to `problem`, and the rest is done: the call fails with
 * DRUPE_ERROR_INCOMPLETE at the end. Other errors end it: a source that is not there
 * (ENOENT), a full disk, DRUPE_ERROR_CANCELLED, a thread that could not be started (EAGAIN).
 */

/* Copies a file or tree of the host into an image. */
int drupe_copy_in(const char *host_path, drupe_mount *mount, const char *path,
		  const struct drupe_tree_options *options, drupe_error **error);

/* Copies a file or tree of an image to the host, in a thread of its own, whose umask is not
 * the process's. Where a sandbox forbids that (unshare(2)), the umask of the process is 0
 * meanwhile, and such calls take turns. `problem` is called in that thread; what interrupts
 * the call is `cancel` and a deadline. */
int drupe_copy_out(drupe_mount *mount, const char *path, const char *host_path,
		   const struct drupe_tree_options *options, drupe_error **error);

/* Copies a file or tree from a mount to another, or within one. They may be of different
 * kernels. */
int drupe_copy(drupe_mount *from, const char *from_path, drupe_mount *to,
	       const char *to_path, const struct drupe_tree_options *options,
	       drupe_error **error);

/* Writes a directory of an image as an archive that GNU tar reads, with all attributes, to
 * a descriptor of the host, which stays open. To be cancelled while it waits for a reader,
 * the descriptor must not block (O_NONBLOCK). A pipe or socket whose reader is gone: SIGPIPE,
 * or EPIPE if that is ignored. */
int drupe_tar(drupe_mount *mount, const char *path, int descriptor,
	      const struct drupe_tree_options *options, drupe_error **error);

/* Extracts an archive, plain or compressed (gzip, zstd, xz), from a descriptor of the host
 * into a directory that is there. Nothing outside of it is made or changed. The descriptor
 * stays open, and has been read to its end, also what comes behind the archive: the writer
 * of a pipe gets no SIGPIPE, and has to close its end. */
int drupe_untar(drupe_mount *mount, const char *path, int descriptor,
		const struct drupe_tree_options *options, drupe_error **error);

/* Makes what ends copies early, for the options of any number of them. drupe_cancel_free(),
 * when none of them is running. */
drupe_cancel *drupe_cancel_new(drupe_error **error);

/* Ends all of them, now and later, after what was begun is finished or taken back. Any
 * thread may do it; a signal handler may not. */
int drupe_cancel_set(drupe_cancel *cancel, drupe_error **error);

/* Frees a handle. */
void drupe_cancel_free(drupe_cancel *cancel);

/* ---- The network ------------------------------------------------------------------ */
/*
 * A fresh kernel has one interface, "lo", which is down. Links that are added are Ethernet
 * interfaces "eth0", "eth1" and so on, down and without addresses, until the kernel halts.
 */

/* Connects two kernels (or one with itself) with a cable. `mtu`: bytes, 68 to 65,521;
 * 0: 1500. The indices of the interfaces may be NULL. */
int drupe_link_pair(drupe_kernel *one, drupe_kernel *other, uint32_t mtu,
		    uint32_t *one_index, uint32_t *other_index, drupe_error **error);

/* Connects a kernel to a tap device of the host: to that of a name, or a new one (NULL),
 * which needs CAP_NET_ADMIN. `index` may be NULL. */
int drupe_link_tap(drupe_kernel *kernel, const char *name, uint32_t *index,
		   drupe_error **error);

/* Sets an interface up. Errors: ENODEV. */
int drupe_interface_up(drupe_kernel *kernel, const char *name, drupe_error **error);

/* Sets an interface down. Errors: ENODEV. */
int drupe_interface_down(drupe_kernel *kernel, const char *name, drupe_error **error);

/* Gives an interface an address with the length of its network: "10.0.0.1/24",
 * "fd00::1/64". Errors: ENODEV, EEXIST, EINVAL. */
int drupe_interface_add_address(drupe_kernel *kernel, const char *name,
				const char *address, drupe_error **error);

/* Adds a route to a network ("0.0.0.0/0": to all) over a gateway. */
int drupe_route_add(drupe_kernel *kernel, const char *destination, const char *gateway,
		    drupe_error **error);

/* The value of a sysctl: "net.ipv4.tcp_congestion_control". drupe_free(). */
int drupe_sysctl_get(drupe_kernel *kernel, const char *name, char **value,
		     drupe_error **error);

/* Sets a sysctl. */
int drupe_sysctl_set(drupe_kernel *kernel, const char *name, const char *value,
		     drupe_error **error);

/* ---- Sockets ---------------------------------------------------------------------- */
/*
 * Those of a kernel, with the constants of <sys/socket.h>. Addresses are a struct sockaddr
 * (any pointer to one) and its length in bytes. Where an address goes, its length is how
 * much room there is before and how long the address is afterwards; it is cut off where
 * there is no more room. NULL: it is not wanted.
 *
 * There is no SIGPIPE: EPIPE. Calls are not made again after EINTR.
 */

/* socket(2). `protocol` 0: the usual one. drupe_socket_close(). */
drupe_socket *drupe_socket_open(drupe_kernel *kernel, int domain, int type, int protocol,
				drupe_error **error);

/* Closes a socket. */
void drupe_socket_close(drupe_socket *socket);

/* bind(2). */
int drupe_socket_bind(drupe_socket *socket, const void *address, uint32_t address_len,
		      drupe_error **error);

/* connect(2). EINPROGRESS of a socket that does not block: it becomes writable, and
 * SO_ERROR says how it went. */
int drupe_socket_connect(drupe_socket *socket, const void *address, uint32_t address_len,
			 drupe_error **error);

/* listen(2). */
int drupe_socket_listen(drupe_socket *socket, uint32_t backlog, drupe_error **error);

/* accept(2): the next connection, which blocks, and whose it is (or NULL twice).
 * drupe_socket_close(). */
drupe_socket *drupe_socket_accept(drupe_socket *socket, void *address,
				  uint32_t *address_len, drupe_error **error);

/* Sends on a connection. `flags`: MSG_*. `done`: how many bytes. */
int drupe_socket_send(drupe_socket *socket, const void *buffer, size_t len, int flags,
		      size_t *done, drupe_error **error);

/* Receives. `flags`: MSG_*. `done`: how many bytes, 0 at the end of a stream. */
int drupe_socket_receive(drupe_socket *socket, void *buffer, size_t len, int flags,
			 size_t *done, drupe_error **error);

/* Sends a datagram to an address. */
int drupe_socket_send_to(drupe_socket *socket, const void *buffer, size_t len,
			 const void *address, uint32_t address_len, size_t *done,
			 drupe_error **error);

/* Receives a datagram, and whose it is (or NULL twice). What does not fit is lost. */
int drupe_socket_receive_from(drupe_socket *socket, void *buffer, size_t len, int flags,
			      void *address, uint32_t *address_len, size_t *done,
			      drupe_error **error);

/* Ends one or both directions. `how`: SHUT_RD, SHUT_WR, SHUT_RDWR. */
int drupe_socket_shutdown(drupe_socket *socket, int how, drupe_error **error);

/* Its own address. */
int drupe_socket_local_address(drupe_socket *socket, void *address, uint32_t *address_len,
			       drupe_error **error);

/* Its peer's address. Errors: ENOTCONN. */
int drupe_socket_peer_address(drupe_socket *socket, void *address, uint32_t *address_len,
			      drupe_error **error);

/* setsockopt(2). */
int drupe_socket_set_option(drupe_socket *socket, int level, int name, const void *value,
			    uint32_t len, drupe_error **error);

/* getsockopt(2). `len`: bytes that were written to `value`, at most `capacity`. */
int drupe_socket_get_option(drupe_socket *socket, int level, int name, void *value,
			    uint32_t capacity, uint32_t *len, drupe_error **error);

/* Whether calls fail with EAGAIN rather than block: 1 or 0. */
int drupe_socket_set_nonblocking(drupe_socket *socket, int yes, drupe_error **error);

/* Its descriptor in the kernel, for drupe_syscall(). The socket still owns it; the host
 * knows nothing of it: drupe_poll_descriptor() is what poll(2) can wait for. */
int drupe_socket_descriptor(drupe_socket *socket, int *number, drupe_error **error);

#define DRUPE_READABLE 1u /* there is something to read or to accept, the end, or an error */
#define DRUPE_WRITABLE 2u /* there is room to write; connected, or that has failed */
#define DRUPE_EDGE 4u     /* wait: only when it becomes so */
#define DRUPE_FAILED 8u   /* event: SO_ERROR says why */
#define DRUPE_ENDED 16u   /* event: the peer sends no more */

struct drupe_event {
	uint64_t token;  /* which socket */
	uint32_t events; /* DRUPE_READABLE, DRUPE_WRITABLE, DRUPE_FAILED, DRUPE_ENDED */
	uint32_t spare;
};

/* Makes what waits for many sockets of a kernel (epoll(7)). drupe_poll_free(). */
drupe_poll *drupe_poll_new(drupe_kernel *kernel, drupe_error **error);

/* Waits for a socket from now on. `events`: DRUPE_READABLE, DRUPE_WRITABLE, and DRUPE_EDGE.
 * `token`: any number that tells its events. A socket that is closed is gone by itself.
 * Errors: EEXIST; EINVAL for a socket of another kernel. */
int drupe_poll_add(drupe_poll *poll, drupe_socket *socket, uint32_t events, uint64_t token,
		   drupe_error **error);

/* Waits for other events of a socket. Errors: ENOENT. */
int drupe_poll_modify(drupe_poll *poll, drupe_socket *socket, uint32_t events,
		      uint64_t token, drupe_error **error);

/* Waits for a socket no more. Errors: ENOENT. */
int drupe_poll_remove(drupe_poll *poll, drupe_socket *socket, drupe_error **error);

/* Waits until there are events, at most `timeout` milliseconds (-1: for ever). At most
 * `capacity` of them, and at most 1024, are written to `events`; `count`: how many, 0 when
 * the time was over. Errors: EINTR. */
int drupe_poll_wait(drupe_poll *poll, struct drupe_event *events, size_t capacity,
		    int64_t timeout, size_t *count, drupe_error **error);

/* A descriptor of the host's, for poll(2) or epoll(7) of the program's own loop: readable
 * while there may be events. It stays so until drupe_poll_wait(), with a timeout of 0, say,
 * finds none. Only wait for it: do not read or close it. Valid until the poll is freed. */
int drupe_poll_descriptor(drupe_poll *poll, int *descriptor, drupe_error **error);

/* Frees a handle. */
void drupe_poll_free(drupe_poll *poll);

/* ---- Calls that take too long ----------------------------------------------------- */

/* All calls of the calling thread are to be over in so many milliseconds from now: one that
 * blocks then ends with DRUPE_ERROR_DEADLINE, and those that follow fail at once if they
 * would block, until drupe_deadline_clear() or another deadline. What cannot be interrupted
 * (a slow disk) is waited for; freeing and halting have no deadline. Copies of trees work
 * with several threads, of which this is one: drupe_cancel_set() ends them. */
int drupe_deadline_set(uint64_t milliseconds, drupe_error **error);

/* The calling thread has no deadline any more. */
void drupe_deadline_clear(void);

/* Makes what interrupts the calling thread's calls into a kernel. drupe_interrupter_free(). */
drupe_interrupter *drupe_interrupter_new(drupe_kernel *kernel, drupe_error **error);

/* The call that the thread is in, or else its next one, ends with EINTR, if it blocks and
 * can be interrupted (signal(7)). Any thread may do this, also when that thread has ended;
 * a signal handler may not. */
int drupe_interrupt(drupe_interrupter *interrupter, drupe_error **error);

/* Frees a handle. */
void drupe_interrupter_free(drupe_interrupter *interrupter);

#ifdef __cplusplus
}
#endif

#endif /* DRUPE_H */
