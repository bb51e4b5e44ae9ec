/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_IRQ_H
#define _ASM_DRUPE_IRQ_H

/* One line per bit of &drupe_cpu.pending. */
#define NR_IRQS 64

struct pt_regs;

void drupe_handle_irqs(struct pt_regs *regs);
void drupe_note_request(void);

#endif /* _ASM_DRUPE_IRQ_H */
