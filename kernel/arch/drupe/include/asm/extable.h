/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_EXTABLE_H
#define _ASM_DRUPE_EXTABLE_H

/*
 * Instructions that access the host program's memory may fault.  The host's
 * signal handler looks them up here and goes on at the fixup; the entries are
 * relative, so that the table needs no relocations.
 */
#define ARCH_HAS_RELATIVE_EXTABLE

#ifndef __ASSEMBLY__
#include <linux/stringify.h>

struct exception_table_entry {
	int insn;
	int fixup;
};

#define DRUPE_EXTABLE(from, to)						\
	".pushsection __ex_table, \"a\"\n"				\
	".balign 4\n"							\
	".long (" __stringify(from) ") - .\n"				\
	".long (" __stringify(to) ") - .\n"				\
	".popsection\n"
#endif /* !__ASSEMBLY__ */

#endif /* _ASM_DRUPE_EXTABLE_H */
