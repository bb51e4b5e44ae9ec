/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_FRAME_H
#define _ASM_DRUPE_FRAME_H

/* For assembly of arch/x86: functions have no frame pointer. */
#define FRAME_BEGIN
#define FRAME_END
#define FRAME_OFFSET	0

#endif /* _ASM_DRUPE_FRAME_H */
