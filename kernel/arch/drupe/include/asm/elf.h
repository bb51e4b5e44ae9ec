/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_ELF_H
#define _ASM_DRUPE_ELF_H

/* No program is ever loaded; the formats are here because core code asks. */
#define ELF_CLASS		ELFCLASS64
#define ELF_DATA		ELFDATA2LSB
#define ELF_ARCH		EM_X86_64
#define ELF_NGREG		4
#define ELF_EXEC_PAGESIZE	PAGE_SIZE
#define ELF_ET_DYN_BASE		0UL
#define ELF_HWCAP		0
#define ELF_PLATFORM		NULL
#define CORE_DUMP_USE_REGSET

#define elf_check_arch(x)	0

typedef unsigned long elf_greg_t;
typedef elf_greg_t elf_gregset_t[ELF_NGREG];
typedef unsigned long elf_fpregset_t;

#endif /* _ASM_DRUPE_ELF_H */
