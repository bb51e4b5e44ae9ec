// SPDX-License-Identifier: GPL-2.0
/* Short waits: by the host's clock. */
#include <linux/delay.h>
#include <linux/export.h>
#include <linux/time64.h>
#include <linux/processor.h>
#include <asm/machine.h>

void __ndelay(unsigned long nsecs)
{
	u64 end = drupe_clock() + nsecs;

	while (drupe_clock() < end)
		cpu_relax();
}
EXPORT_SYMBOL(__ndelay);

void __udelay(unsigned long usecs)
{
	__ndelay(usecs * NSEC_PER_USEC);
}
EXPORT_SYMBOL(__udelay);
