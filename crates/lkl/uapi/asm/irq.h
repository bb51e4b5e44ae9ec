/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interrupts of devices that the program brings. There are none such here: devices are
 * disks and network devices, and these calls fail.
 */
#ifndef _ASM_LKL_IRQ_H
#define _ASM_LKL_IRQ_H

/* Raises an interrupt. -LKL_ENOSYS. */
int lkl_trigger_irq(int irq);

/* Reserves the number of an interrupt. -LKL_ENOSYS. */
int lkl_get_free_irq(const char *user);

/* Gives it back. Does nothing. */
void lkl_put_irq(int irq, const char *name);

#endif
