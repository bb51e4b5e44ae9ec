/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Two segments from address 0 on: text, which is never written and has no
 * relocations, and everything else.
 */
#define RO_EXCEPTION_TABLE_ALIGN	4
#define RUNTIME_DISCARD_EXIT

#include <asm-generic/vmlinux.lds.h>
#include <asm/cache.h>
#include <asm/page.h>
#include <asm/thread_info.h>

OUTPUT_FORMAT("elf64-x86-64")
OUTPUT_ARCH(i386:x86-64)
ENTRY(drupe_entry)
jiffies = jiffies_64;

PHDRS
{
	text	PT_LOAD		FLAGS(5);
	data	PT_LOAD		FLAGS(6);
	dynamic	PT_DYNAMIC	FLAGS(6);
	note	PT_NOTE		FLAGS(4);
}

SECTIONS
{
	. = 0;
	.text : {
		_text = .;
		_stext = .;
		HEAD_TEXT
		IRQENTRY_TEXT
		SOFTIRQENTRY_TEXT
		ENTRY_TEXT
		TEXT_TEXT
		SCHED_TEXT
		LOCK_TEXT
		KPROBES_TEXT
		*(.gnu.warning)
	} :text
	.init.text : {
		_sinittext = .;
		INIT_TEXT
		EXIT_TEXT
		_einittext = .;
	} :text
	. = ALIGN(PAGE_SIZE);
	_etext = .;

	/*
	 * What only the loader reads comes first, so that what has relocations is
	 * close together: a kernel that starts from a snapshot writes to it.
	 */
	.data_segment : { QUAD(0) } :data
	.dynsym : { *(.dynsym) } :data
	.dynstr : { *(.dynstr) }
	.hash : { *(.hash) }
	.rela.dyn : ALIGN(8) { *(.rela .rela*) }
	.dynamic : { *(.dynamic) } :data :dynamic
	.got : { *(.got) *(.got.plt) *(.igot .igot.plt) } :data
	.plt : { *(.plt) *(.plt.*) *(.iplt) } :data
	/* RO_DATA names no segment, and takes the one before it. */
	RO_DATA(PAGE_SIZE)

	. = ALIGN(PAGE_SIZE);
	__init_begin = .;
	INIT_DATA_SECTION(16)
	.exit.data : { EXIT_DATA }
	PERCPU_SECTION(L1_CACHE_BYTES)
	. = ALIGN(PAGE_SIZE);
	__init_end = .;

	/*
	 * Where files have secrets that they draw at boot, and that nothing else
	 * reaches: kernels from one snapshot must not share them.
	 */
	.secrets : {
		drupe_secrets = .;
		*vsprintf.o(.bss)
		*vxlan_core.o(.bss)
		drupe_secrets_end = .;
		/* In the middle of a segment: in the file, as zeroes. */
		LONG(0)
	}

	. = ALIGN(PAGE_SIZE);
	_data = .;
	_sdata = .;
	RW_DATA(L1_CACHE_BYTES, PAGE_SIZE, THREAD_SIZE)
	.data.rel : { *(.data.rel .data.rel.*) }
	_edata = .;
	BSS_SECTION(PAGE_SIZE, PAGE_SIZE, 0)
	. = ALIGN(PAGE_SIZE);
	_end = .;

	DWARF_DEBUG
	ELF_DETAILS
	DISCARDS
	/DISCARD/ : {
		*(.interp)
		*(.note.GNU-stack)
		*(.note.gnu.property)
		*(.eh_frame)
	}
}
