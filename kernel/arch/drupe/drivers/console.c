// SPDX-License-Identifier: GPL-2.0
/* The kernel log goes to the host. */
#include <linux/console.h>
#include <linux/init.h>
#include <asm/machine.h>

static void drupe_console_print(struct console *con, const char *text,
				unsigned int len)
{
	drupe_console_write(text, len);
}

static struct console drupe_console = {
	.name = "drupe",
	.write = drupe_console_print,
	.flags = CON_PRINTBUFFER | CON_ENABLED,
};

/**
 * drupe_console_init - from here on, the host sees the log
 */
void __init drupe_console_init(void)
{
	register_console(&drupe_console);
}
