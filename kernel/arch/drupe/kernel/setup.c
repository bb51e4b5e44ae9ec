// SPDX-License-Identifier: GPL-2.0
/*
 * What a kernel learns from its host at boot, and how it ends.
 */
#include <linux/console.h>
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/reboot.h>
#include <linux/seq_file.h>
#include <asm/machine.h>
#include <asm/sections.h>
#include <asm/setup.h>

static char command_line[COMMAND_LINE_SIZE];

void __init setup_arch(char **cmdline_p)
{
	strscpy(command_line, drupe_boot->command_line);
	strscpy(boot_command_line, command_line, COMMAND_LINE_SIZE);
	*cmdline_p = command_line;

	drupe_boot_request = this_drupe_cpu()->request;
	this_drupe_cpu()->request = NULL;
	setup_initial_init_mm(_stext, _etext, _edata, _end);
	drupe_cpu_init();
	drupe_console_init();
	parse_early_param();
	add_bootloader_randomness(drupe_boot->seed, sizeof(drupe_boot->seed));
	drupe_memory_init();
}

/* Nothing waits by counting loops: see lib/delay.c. */
void calibrate_delay(void)
{
	loops_per_jiffy = 1 << 20;
}

void machine_halt(void)
{
	drupe_stop(DRUPE_STOP_HALT, NULL);
}

void machine_power_off(void)
{
	drupe_stop(DRUPE_STOP_POWER_OFF, NULL);
}

void machine_restart(char *cmd)
{
	drupe_stop(DRUPE_STOP_RESTART, NULL);
}

static int cpuinfo_show(struct seq_file *m, void *v)
{
	seq_puts(m, "processor\t: 0\nmodel name\t: drupe\n");
	return 0;
}

static void *cpuinfo_start(struct seq_file *m, loff_t *pos)
{
	return *pos ? NULL : m;
}

static void *cpuinfo_next(struct seq_file *m, void *v, loff_t *pos)
{
	++*pos;
	return NULL;
}

static void cpuinfo_stop(struct seq_file *m, void *v)
{
}

const struct seq_operations cpuinfo_op = {
	.start = cpuinfo_start,
	.next = cpuinfo_next,
	.stop = cpuinfo_stop,
	.show = cpuinfo_show,
};
