/* See dial.h. */
#include "shim/connect/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "pool/base/clock.h"
#include "pool/config/config.h"
#include "pool/conn/destination.h"
#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/base/relayed.h"
#include "shim/kept/broker_link.h"
#include "shim/kept/pool.h"
#include "shim/kept/shared.h"
#include "shim/sock/sock.h"

/* linux/in.h; not in glibc's headers of today. */
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#define ANY_PORT (1u | 65535u << 16)

/* For a port, where no dial timeout is set: a connection that has just ended gives its port back within a round
 * trip. */
#define PORT_PATIENCE_NS (3 * SECOND_NS)
#define LONGEST_WAIT_NS (100 * MILLISECOND_NS)

static _Atomic(bool) has_no_range; /* this kernel doesn't know the option */

bool dial_widen_ports(int fd, const struct destination_key *key)
{
	static const uint32_t any = ANY_PORT;
	int saved = errno;
	bool is_set;

	if (has_no_range || sock_config->port_scan != CONFIG_PORT_SCAN_RANGE || key->is_bound ||
	    destination_key_has_option(key, IPPROTO_IP, IP_LOCAL_PORT_RANGE))
		return false;
	is_set = real.setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &any, sizeof(any)) == 0;
	if (!is_set)
		has_no_range = true;
	errno = saved;
	return is_set;
}

int dial_begin(int fd, const struct destination_key *key)
{
	struct sockaddr_in6 address;
	socklen_t length;

	if (key->is_bound) {
		length = destination_key_local(key, &address);
		if (real.bind(fd, (struct sockaddr *)&address, length) < 0)
			return -errno;
	}
	dial_widen_ports(fd, key);
	length = destination_key_peer(key, &address);
	if (relayed_connect(fd, (struct sockaddr *)&address, length) == 0)
		return 0;
	return errno == EINTR ? -EINPROGRESS : -errno;
}

void dial_mask_option(int level, int name, void *value, const socklen_t *length)
{
	uint32_t range;

	if (level != IPPROTO_IP || name != IP_LOCAL_PORT_RANGE || *length != sizeof(range))
		return;
	memcpy(&range, value, sizeof(range));
	if (range == ANY_PORT)
		memset(value, 0, sizeof(range));
}

static void set_send_timeout(int fd, uint64_t timeout_ns)
{
	struct timeval timeout = {(time_t)(timeout_ns / SECOND_NS),
				  (suseconds_t)(timeout_ns % SECOND_NS / MICROSECOND_NS)};

	real.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
}

/* socket(7): a connect() that SO_SNDTIMEO cuts short fails with EINPROGRESS, and goes on. */
static int connect_in_time(const struct dial *dial, uint64_t left_ns)
{
	int result, error;

	set_send_timeout(dial->fd, left_ns < MILLISECOND_NS ? MILLISECOND_NS : left_ns);
	result = relayed_connect(dial->fd, dial->address, dial->length);
	error = errno;
	if (result < 0 && error == EINPROGRESS) {
		sock_pool_sys.disconnect(dial->fd);
		error = ETIMEDOUT;
	}
	set_send_timeout(dial->fd, dial->send_timeout_ns);
	errno = error;
	return result;
}

/* Remaining time of the dial timeout; 0: no timeout. */
static uint64_t left_of(const struct dial *dial, uint64_t timeout_ns)
{
	return deadline_left_ns(deadline_after(dial->started_ns, timeout_ns), guard_now_ns());
}

int dial_try(struct dial *dial)
{
	uint64_t timeout_ns = dial->policy->dial_timeout_ns;

	if (!dial->started_ns)
		dial->started_ns = guard_now_ns();
	if (!timeout_ns || !dial->is_blocking || (dial->send_timeout_ns && dial->send_timeout_ns <= timeout_ns))
		return relayed_connect(dial->fd, dial->address, dial->length);
	return connect_in_time(dial, left_of(dial, timeout_ns));
}

static void give_back_ports(const struct destination_key *key)
{
	uint64_t now_ns = guard_now_ns();
	struct idle_pool *pool;

	broker_link_connect(now_ns);
	pool = pool_enter(now_ns);
	if (!pool)
		return;
	idle_pool_retire_peer(pool, key);
	shared_relieve(pool, key);
	pool_leave();
}

bool dial_waits_for_port(struct dial *dial)
{
	uint64_t timeout_ns = dial->policy->dial_timeout_ns ? dial->policy->dial_timeout_ns : PORT_PATIENCE_NS;
	uint64_t wait_ns = MILLISECOND_NS << (dial->n_waits < 7 ? dial->n_waits : 7);
	int saved = errno;

	if (saved != EADDRNOTAVAIL || dial->key->is_bound || (dial->n_waits && !dial->is_blocking) ||
	    dial->policy->mode != CONFIG_MODE_FULL)
		return false;
	if (!left_of(dial, timeout_ns))
		return false;
	if (!dial->n_waits)
		stats_count(dial->stats, STATS_PORT_WAITS);
	give_back_ports(dial->key);
	dial->n_waits++;
	if (wait_ns > LONGEST_WAIT_NS)
		wait_ns = LONGEST_WAIT_NS;
	if (dial->is_blocking)
		clock_nap(wait_ns);
	errno = saved;
	return true;
}
