// SPDX-License-Identifier: GPL-2.0
/*
 * Time: the host's clock is the clock source, a deadline at the host the clock
 * event device.
 */
#include <linux/clockchips.h>
#include <linux/clocksource.h>
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/jump_label.h>
#include <linux/math64.h>
#include <linux/pvclock_gtod.h>
#include <linux/sched/clock.h>
#include <linux/timekeeper_internal.h>
#include <linux/timekeeping.h>
#include <asm/machine.h>
#include <asm/paravirt.h>

/* Not 0: the random generator takes a counter that is for none. */
#define FIRST_CYCLE	1

static u64 drupe_clocksource_read(struct clocksource *cs)
{
	return drupe_clock() + FIRST_CYCLE;
}

/*
 * Time begins at one instant, which the host gives in both clocks: what is read
 * first is the clock of that instant, however long ago it is by then.
 */
static u64 clock_at_start;

static u64 drupe_clocksource_start(struct clocksource *cs)
{
	return clock_at_start + FIRST_CYCLE;
}

/* In ns, with as fine a step of frequency as clocksource_register_hz() takes. */
static struct clocksource drupe_clocksource = {
	.name = "drupe",
	.rating = 400,
	.read = drupe_clocksource_read,
	.mask = CLOCKSOURCE_MASK(64),
	.mult = BIT(24),
	.shift = 24,
	.flags = CLOCK_SOURCE_IS_CONTINUOUS,
};

/* From the start: with any other one time would stand still at first. */
struct clocksource * __init clocksource_default_clock(void)
{
	return &drupe_clocksource;
}

/* One instant in the host's clock and in CLOCK_MONOTONIC, and the rate of that. */
static u64 clock_then;
static u64 monotonic_then;
static u32 mult_then;

/* At each tick, and when somebody changes the rate, adjtimex(2). */
static int drupe_time_updated(struct notifier_block *nb, unsigned long was_set,
			      void *data)
{
	const struct timekeeper *tk = data;

	clock_then = tk->tkr_mono.cycle_last - FIRST_CYCLE;
	monotonic_then = tk->tkr_mono.base +
			 (tk->tkr_mono.xtime_nsec >> tk->tkr_mono.shift);
	mult_then = tk->tkr_mono.mult;
	return NOTIFY_OK;
}

static struct notifier_block drupe_time_notifier = {
	.notifier_call = drupe_time_updated,
};

/* The host wants a time of its clock: with CLOCK_EVT_FEAT_KTIME none is read. */
static int drupe_set_next_ktime(ktime_t expires, struct clock_event_device *dev)
{
	u64 ns = 0;

	if (expires > monotonic_then)
		ns = expires - monotonic_then;
	/* An interrupt that is early would come for nothing. */
	if (mult_then != BIT(24))
		ns = mul_u64_u64_div_u64(ns, BIT(24), mult_then) + 1;
	drupe_timer_set(clock_then + ns);
	return 0;
}

static int drupe_timer_off(struct clock_event_device *dev)
{
	drupe_timer_set(DRUPE_NO_DEADLINE);
	return 0;
}

static struct clock_event_device drupe_clockevent = {
	.name = "drupe",
	.rating = 400,
	.features = CLOCK_EVT_FEAT_ONESHOT | CLOCK_EVT_FEAT_KTIME,
	.set_next_ktime = drupe_set_next_ktime,
	.set_state_shutdown = drupe_timer_off,
	.set_state_oneshot_stopped = drupe_timer_off,
};

static irqreturn_t drupe_timer_interrupt(int irq, void *dev_id)
{
	drupe_clockevent.event_handler(&drupe_clockevent);
	return IRQ_HANDLED;
}

/*
 * The scheduler looks at its clock at least at each tick.  If more time than
 * that has passed, nobody ran the machine: its process was stopped, its clock
 * was moved, or it was not called.  No task has run meanwhile; for days of it,
 * the scheduler's arithmetic would overflow.
 */
#define MAX_RUN_NS (100 * NSEC_PER_MSEC)

struct static_key paravirt_steal_enabled = STATIC_KEY_INIT_FALSE;
struct static_key paravirt_steal_rq_enabled = STATIC_KEY_INIT_TRUE;

static u64 clock_seen;
static u64 clock_stolen;

unsigned long long notrace sched_clock(void)
{
	u64 now = drupe_clock();

	if (now - clock_seen > MAX_RUN_NS)
		clock_stolen += now - clock_seen - MAX_RUN_NS;
	clock_seen = now;
	return now;
}

u64 paravirt_steal_clock(int cpu)
{
	return clock_stolen;
}

void __init read_persistent_wall_and_boot_offset(struct timespec64 *wall_time,
						 struct timespec64 *boot_offset)
{
	drupe_clocksource.read = drupe_clocksource_start;
	clock_at_start = drupe_clock();
	*wall_time = ns_to_timespec64(drupe_wall_clock());
	*boot_offset = ns_to_timespec64(clock_at_start);
}

/**
 * drupe_set_wall_clock - begin again with the host's wall clock
 *
 * As at the start, the time is that of one instant in both clocks.
 */
void drupe_set_wall_clock(void)
{
	struct timespec64 now;

	drupe_clocksource.read = drupe_clocksource_start;
	clock_at_start = drupe_clock();
	now = ns_to_timespec64(drupe_wall_clock());
	/* As timekeeping_init() has it for a time that is none. */
	if (!timespec64_valid_settod(&now))
		now = (struct timespec64) { };
	do_settimeofday64(&now);
	drupe_clocksource.read = drupe_clocksource_read;
}

void __init time_init(void)
{
	drupe_clocksource.read = drupe_clocksource_read;
	__clocksource_register(&drupe_clocksource);
	pvclock_gtod_register_notifier(&drupe_time_notifier);
	if (request_irq(DRUPE_IRQ_TIMER, drupe_timer_interrupt,
			IRQF_TIMER | IRQF_NOBALANCING, "timer", NULL))
		panic("no timer interrupt");
	drupe_clockevent.cpumask = cpumask_of(0);
	clockevents_config_and_register(&drupe_clockevent, NSEC_PER_SEC, 1000,
					LONG_MAX);
}
