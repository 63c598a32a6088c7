/*
 * holdline doctor, the advice: what helps against the worst finding, the least harmful fix first, each with its command
 * and its risk.
 */
#include "tools/doctor/doctor.h"

#include <stdarg.h>

#include "tools/base/address.h"

#define WIDEST_FIRST 1024
#define ENOUGH_CONNECTS 20
#define MUCH_SHARE 10 /* a tenth of the range is worth freeing */

static struct doctor_fix *add(struct doctor_report *report, const char *what, const char *risk)
{
	struct doctor_fix *fix;

	if (report->n_fixes == DOCTOR_MAX_FIXES)
		report->n_fixes--;
	fix = &report->fixes[report->n_fixes++];
	snprintf(fix->what, sizeof(fix->what), "%s", what);
	snprintf(fix->risk, sizeof(fix->risk), "%s", risk);
	*fix->command = '\0';
	return fix;
}

static void set_command(struct doctor_fix *fix, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void set_command(struct doctor_fix *fix, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(fix->command, sizeof(fix->command), format, arguments);
	va_end(arguments);
}

static void name_owner(const struct doctor_tuple *seen, char name[OWNERS_NAME_MAX])
{
	snprintf(name, OWNERS_NAME_MAX, "PROGRAM");
	if (seen && seen->counted.n_processes)
		snprintf(name, OWNERS_NAME_MAX, "%s", seen->counted.processes[0].program);
	else if (seen && seen->n_shares && seen->shares[0].pid)
		owners_name(seen->shares[0].pid, name);
	else if (seen && seen->n_shares && seen->shares[0].ended[0])
		snprintf(name, OWNERS_NAME_MAX, "%s", seen->shares[0].ended);
}

/* Holdline's counts show that reuse would be refused. */
static bool is_hopeless(const struct doctor_tuple *seen)
{
	return seen && seen->counted.n_connects >= ENOUGH_CONNECTS &&
	       seen->counted.n_reusable < seen->counted.n_connects / MUCH_SHARE;
}

/* By their usual ports: what Holdline does for servers of other protocols than HTTP. */
static const struct usual_port {
	unsigned port;

	const char *what, *risk;
} usual_ports[] = {
	{6379, "Reuse connections: start the program under Holdline, which knows Redis",
	 "the server hears RESET where a program has left something: see REDIS AND VALKEY in holdline(7)"},
	{11211, "Reuse connections: start the program under Holdline, which knows memcached",
	 "the server is asked for its settings and its version: see MEMCACHED in holdline(7)"},
	{3306, "Reuse connections within a process: start the program under Holdline, which knows MySQL",
	 "those that are kept take places of the server's (max_connections): see MYSQL AND MARIADB in holdline(7)"},
};

static const struct usual_port *find_usual(const struct doctor_tuple *seen)
{
	for (size_t i = 0; seen && i < sizeof(usual_ports) / sizeof(usual_ports[0]); i++)
		if (usual_ports[i].port == seen->tuple->key.port)
			return &usual_ports[i];
	return NULL;
}

/* Most of them are, and --tls=reuse would keep some. */
static bool is_https(const struct doctor_tuple *seen)
{
	return seen && seen->counted.n_connects >= ENOUGH_CONNECTS && seen->counted.n_reusable &&
	       seen->counted.top_refusal == REFUSAL_TLS_OPAQUE;
}

static void advise_reuse(struct doctor_report *report, const struct doctor_tuple *seen)
{
	const struct usual_port *usual = find_usual(seen);
	char name[OWNERS_NAME_MAX];
	struct doctor_fix *fix;

	name_owner(seen, name);
	if (is_https(seen)) {
		fix = add(report, "Reuse connections: they are HTTPS, which Holdline keeps where it is told to",
			  "read HTTPS in holdline(7) first; what can't be kept stays as it is");
		set_command(fix, "holdline run --tls=reuse -- %s", name);
		return;
	}
	if (is_hopeless(seen)) {
		fix = add(report, "", "none, it only looks");
		snprintf(
			fix->what, sizeof(fix->what),
			"Find out why connections can't be reused: most were refused for %s (see holdline(7) for reasons)",
			stats_refusal_names[seen->counted.top_refusal]);
		set_command(fix, "holdline run --mode=observe --log=/tmp/holdline.log -- %s", name);
		return;
	}
	if (usual)
		fix = add(report, usual->what, usual->risk);
	else
		fix = add(
			report,
			"Reuse connections: start the program under Holdline, if it speaks HTTP/1.x, Redis, memcached or MySQL",
			"what is none of these stays as it is; --mode=observe changes nothing and says what could be reused");
	set_command(fix, "holdline run -- %s", name);
}

static void advise_limit(struct doctor_report *report, const struct doctor_tuple *seen)
{
	char name[OWNERS_NAME_MAX], source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];
	struct doctor_fix *fix;

	name_owner(seen, name);
	address_write(&seen->tuple->key.source, 0, source);
	address_write(&seen->tuple->key.destination, 0, destination);
	fix = add(report, "See who keeps that many connections open: does it forget to close them?",
		  "none, it only looks");
	set_command(fix, "ss -tnp src %s dst %s dport = :%u", source, destination, seen->tuple->key.port);
	fix = add(report, "Limit them: beyond a number, connect() waits for its turn",
		  "requests wait, and may time out");
	set_command(fix, "holdline run --max-conns-per-host=%u -- %s", report->sample.n_usable / 2, name);
}

static void advise_range(struct doctor_report *report)
{
	const struct ports_settings *settings = &report->sample.settings;
	struct doctor_fix *fix;

	if (settings->first > WIDEST_FIRST || settings->last < UINT16_MAX) {
		fix = add(
			report, "Widen the range of ports",
			"a service that starts later may find its port in use: put such ports into ip_local_reserved_ports");
		set_command(fix, "sysctl -w net.ipv4.ip_local_port_range='%u %u'", WIDEST_FIRST, UINT16_MAX);
	}
	if (report->sample.n_reserved > report->sample.n_range / MUCH_SHARE) {
		fix = add(report, "Reserve fewer ports inside the range",
			  "whoever they are reserved for may find them in use");
		set_command(fix, "sysctl net.ipv4.ip_local_reserved_ports");
	}
	if (report->sample.n_held > report->sample.n_range / MUCH_SHARE) {
		fix = add(report,
			  "Move listeners and bound sockets out of the range: each costs all destinations a port",
			  "their clients must find them at the new port");
		set_command(fix, "ss -tlnp sport ge :%u and sport le :%u", settings->first, settings->last);
	}
}

static void advise_time_wait(struct doctor_report *report, const struct ports_key *key)
{
	const struct ports_settings *settings = &report->sample.settings;
	struct doctor_fix *fix;

	if (ports_settings_reuse(settings, key))
		return;
	fix = add(report, "Let connect() take the ports of connections in TIME_WAIT, after a second instead of 60",
		  "helps only where both ends have TCP timestamps on");
	set_command(fix, "sysctl -w net.ipv4.tcp_tw_reuse=1%s",
		    settings->has_timestamps ? "" : " net.ipv4.tcp_timestamps=1");
}

static void advise_addresses(struct doctor_report *report)
{
	struct doctor_fix *fix;

	fix = add(report,
		  "Add an address: each source, and each address or port of the server, has its own set of ports",
		  "the program has to bind to it (with IP_BIND_ADDRESS_NO_PORT); firewalls must know it");
	set_command(fix, "ip addr add ADDRESS/PREFIX dev DEVICE");
}

static void advise_emergency(struct doctor_report *report, const struct ports_key *key)
{
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];
	struct doctor_fix *fix;

	address_write(&key->source, 0, source);
	address_write(&key->destination, 0, destination);
	fix = add(report, "In an emergency, end what is in TIME_WAIT now: for a minute's relief",
		  "a late packet of an old connection may hit a new one; needs root");
	set_command(fix, "ss -K -tn state time-wait src %s dst %s dport = :%u", source, destination, key->port);
}

static void advise_local_ports(struct doctor_report *report, const struct doctor_tuple *seen)
{
	bool is_waiting = seen && seen->tuple->n_time_wait >= ports_tuple_alive(seen->tuple);

	if (is_waiting)
		advise_reuse(report, seen);
	else if (seen)
		advise_limit(report, seen);
	advise_range(report);
	if (is_waiting)
		advise_time_wait(report, &seen->tuple->key);
	if (seen)
		advise_addresses(report);
	if (is_waiting)
		advise_emergency(report, &seen->tuple->key);
}

static void advise_bind(struct doctor_report *report)
{
	add(report, "Have the program set IP_BIND_ADDRESS_NO_PORT before bind(): connect() then chooses the port",
	    "none known; without it, let the program not bind at all");
	advise_range(report);
	advise_addresses(report);
}

static void advise_nat(struct doctor_report *report, const struct nat_tuple *tuple)
{
	char destination[ADDRESS_TEXT_MAX];
	struct doctor_fix *fix;

	advise_reuse(report, NULL);
	fix = add(report, "Give the rule more ports, or the machine that does the NAT more addresses",
		  "firewalls behind it must know new addresses");
	set_command(fix, "nft list ruleset");
	fix = add(report, "Find connections that were given up without being closed: they are held for days",
		  "a shorter nf_conntrack_tcp_timeout_established also ends quiet connections that are still in use");
	set_command(fix, "sysctl net.netfilter.nf_conntrack_tcp_timeout_established");
	if (!tuple)
		return;
	address_write(&tuple->key.destination, 0, destination);
	fix = add(report, "In an emergency, forget the connections to there", "they break; needs root");
	set_command(fix, "conntrack -D -p tcp --reply-src %s --reply-port-src %u", destination, tuple->key.port);
}

static void advise_conntrack(struct doctor_report *report)
{
	struct doctor_fix *fix;

	advise_reuse(report, NULL);
	fix = add(report, "Make the table larger",
		  "each entry costs memory of the kernel; all namespaces share the setting");
	set_command(fix, "sysctl -w net.netfilter.nf_conntrack_max=%llu",
		    2 * (unsigned long long)report->nat.counters.n_max);
	fix = add(report, "Forget closed connections earlier",
		  "a late packet of an old connection is then not recognised");
	set_command(fix, "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_time_wait=30");
}

static void advise_fixed(struct doctor_report *report, const struct ports_fixed *fixed)
{
	add(report, "Let the program not bind to a port: connect() chooses a free one",
	    "a firewall or server that expects that source port must learn better");
	if (fixed->state != TCP_TIME_WAIT)
		return;
	add(report, "Let the program set SO_REUSEADDR before bind(): the port can then be used again at once",
	    report->sample.settings.has_timestamps
		    ? "helps only where the server has TCP timestamps on"
		    : "helps only where both ends have TCP timestamps on, and tcp_timestamps is off here");
	advise_emergency(report, &fixed->key);
}

void doctor_advise(struct doctor_report *report)
{
	const struct doctor_finding *worst = &report->findings[0];

	report->n_fixes = 0;
	switch (report->cause) {
	case CAUSE_LOCAL_PORTS:
		advise_local_ports(report, worst->tuple);
		break;
	case CAUSE_BIND_PORT:
		advise_bind(report);
		break;
	case CAUSE_SNAT:
		advise_nat(report, worst->nat_tuple);
		break;
	case CAUSE_CONNTRACK_FULL:
		advise_conntrack(report);
		break;
	case CAUSE_FIXED_SOURCE_PORT:
		advise_fixed(report, worst->fixed);
		break;
	case CAUSE_HEALTHY:
	case CAUSE_UNKNOWN:
		break;
	}
}
