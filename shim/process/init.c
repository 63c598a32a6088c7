/* See init.h. */
#include "shim/process/init.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "pool/config/config.h"
#include "shim/base/callsite.h"
#include "shim/base/home.h"
#include "shim/base/large.h"
#include "shim/base/lock.h"
#include "shim/base/log.h"
#include "shim/base/off_switch.h"
#include "shim/base/real.h"
#include "shim/base/relayed.h"
#include "shim/base/stats_page.h"
#include "shim/base/symbols.h"
#include "shim/base/usermem.h"
#include "shim/connect/fence_ahead.h"
#include "shim/connect/lease.h"
#include "shim/connect/listen.h"
#include "shim/exchange/logins.h"
#include "shim/exchange/relogin.h"
#include "shim/kept/broker_link.h"
#include "shim/kept/pool.h"
#include "shim/kept/sessions.h"
#include "shim/process/exec_relay.h"
#include "shim/process/exec_state.h"
#include "shim/process/fork.h"
#include "shim/sock/events.h"
#include "shim/sock/reclaim.h"
#include "shim/sock/sock.h"

enum phase {
	PHASE_OFF,   /* before the constructor, and where nothing is wanted */
	PHASE_READY, /* the settings are known */
	PHASE_BEGINNING,
	PHASE_DONE,
};

static _Atomic(enum phase) phase;
static _Atomic(unsigned long) beginner; /* the thread that is in the midst of it */
/* Aligned so that what each process reads of it lies on one page. */
static LARGE _Alignas(512) struct config config; /* immutable after init */

/* Off, unless some rule says otherwise. */
static bool is_wanted(const struct config *wanted)
{
	bool any = wanted->policy.mode != CONFIG_MODE_OFF;

	for (unsigned i = 0; i < wanted->n_rules; i++)
		any |= wanted->rules[i].policy.mode != CONFIG_MODE_OFF;
	return any;
}

/* The user who starts a setuid program writes its environment, and must not choose its log or broker. The loader
 * drops LD_PRELOAD for it, but not the libraries of /etc/ld.so.preload (ld.so(8), getauxval(3)). */
static bool is_another_users_tool(void)
{
	return getauxval(AT_SECURE) != 0;
}

static _Atomic(bool) is_ending;

bool init_is_ending(void)
{
	return is_ending;
}

/* After the destructors of all libraries, which may have a last request to send: see init(). */
static void fini(void *unused)
{
	(void)unused;
	if (phase != PHASE_DONE || !guard_is_home())
		return;
	is_ending = true;
	if (broker_link_may_be_connected())
		sock_finish_all();
	logins_end_all();
	if (!broker_link_is_connected())
		reclaim_idle();
	pool_log_stats();
	stats_page_end();
}

static void begin(void)
{
	guard_set_home();
	log_open(config.has_log ? config.log_path : "");
	stats_page_init(&config, &events_users);
	callsite_init(&config);
	pool_init(&config);
	sock_init();
	blocks_init(&sock_pool_sys);
	listen_note_all();
	lease_begin_login = relogin_begin;
	sock_settle_fence = fence_ahead_settle;
	lease_login_is_ready = relogin_is_ready;
}

/* Another thread is about to have done it; not so for a handler that has interrupted its own. */
static bool wait_for_beginner(void)
{
	unsigned step = 0;

	while (phase == PHASE_BEGINNING && beginner != (unsigned long)pthread_self() &&
	       guard_wait_for(&phase, PHASE_BEGINNING, step))
		step++;
	return phase == PHASE_DONE;
}

bool init_is_done(void)
{
	enum phase ready = PHASE_READY;
	int saved = errno;

	if (__builtin_expect(phase == PHASE_DONE, 1))
		return true;
	if (phase == PHASE_BEGINNING)
		return wait_for_beginner();
	if (phase != PHASE_READY || !guard_may_become_home())
		return false;
	if (!atomic_compare_exchange_strong(&phase, &ready, PHASE_BEGINNING))
		return wait_for_beginner();
	beginner = (unsigned long)pthread_self();
	begin();
	phase = PHASE_DONE;
	guard_wake(&phase);
	errno = saved;
	return true;
}

void init_before_change_of_user(void)
{
	/* The default folder is each user's own. */
	if (phase != PHASE_OFF && strcmp(config.stats_path, "auto") != 0 && init_is_done())
		stats_page_make_file();
}

bool init_is_settled(void)
{
	return phase != PHASE_BEGINNING || wait_for_beginner();
}

void init_after_fork(void)
{
	if (phase == PHASE_BEGINNING)
		phase = PHASE_OFF;
}

bool init_was_needed(void)
{
	return phase == PHASE_DONE;
}

void init_end_at_once(void)
{
	if (phase == PHASE_DONE && guard_is_home())
		stats_page_end();
}

bool init_is_off(void)
{
	return phase == PHASE_OFF;
}

int __cxa_atexit(void (*function)(void *), void *argument, void *library);

/* The loader passes what it passes to main(). `environ` is the program's own variable where that has one, and not
 * set yet. */
__attribute__((constructor)) static void init(int n_arguments, char **arguments, char **environment)
{
	(void)n_arguments;
	(void)arguments;
#ifndef __GLIBC__
	/* musl passes nothing, but has set the variable. */
	environment = environ;
#endif
	real_bind();
	symbols_end_startup();
	/* Where nothing is wanted of us, the relay is to do nothing either, and programs are executed that cannot load
	 * us. */
	guard_learn_memory();
	relayed_init(environment);
	config_set_defaults(&config);
	/* A wrong value: native, and silent about it; `holdline run` has said so before. */
	if (is_another_users_tool() || config_read_environment(&config, environment, NULL) || !is_wanted(&config))
		return;
	if (off_switch_is_set())
		return;
	stats_page_choose_place(environment);
	sessions_init(&config, environment);
	fork_init();
	exec_relay_init(environment);
	phase = PHASE_READY;
	/* The log is opened now, before the program changes its user or its root; from then on it has a descriptor
	 * of ours. */
	if (config.has_log && !init_is_done())
		return;
	if (exec_state_is_told(environment) && init_is_done())
		exec_state_receive(environment);
	/* dso = NULL: runs at exit, after every library's destructors. */
	__cxa_atexit(fini, NULL, NULL);
	(void)!at_quick_exit(init_end_at_once);
}
