/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_PARAVIRT_H
#define _ASM_DRUPE_PARAVIRT_H

#include <linux/types.h>

/* Time in which nobody ran the machine is stolen, as from a guest. */
struct static_key;
extern struct static_key paravirt_steal_enabled;
extern struct static_key paravirt_steal_rq_enabled;

u64 paravirt_steal_clock(int cpu);

#endif /* _ASM_DRUPE_PARAVIRT_H */
