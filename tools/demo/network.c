/*
 * The demo's network. Sources: network_namespaces(7), user_namespaces(7), proc(5) /proc/net/tcp,
 * linux/Documentation/networking/ip-sysctl.rst.
 */
#include "tools/demo/network.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIME_WAIT 6 /* number of the state in /proc/net/tcp (TCP_TIME_WAIT) */
#define FIRST_PORT 40000

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), error = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		error = -errno;
	close(fd);
	return error;
}

static int raise_loopback(void)
{
	struct ifreq request = {.ifr_name = "lo"};
	int error = 0, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCGIFFLAGS, &request) != 0)
		error = -errno;
	request.ifr_flags |= IFF_UP;
	if (!error && ioctl(fd, SIOCSIFFLAGS, &request) != 0)
		error = -errno;
	close(fd);
	return error;
}

/* In a user namespace we keep our own ids. */
static int map_identity(uid_t uid, gid_t gid)
{
	char text[64];
	int error;

	snprintf(text, sizeof(text), "%u %u 1", (unsigned)uid, (unsigned)uid);
	error = write_text("/proc/self/uid_map", text);
	if (error == 0)
		error = write_text("/proc/self/setgroups", "deny");
	snprintf(text, sizeof(text), "%u %u 1", (unsigned)gid, (unsigned)gid);
	return error == 0 ? write_text("/proc/self/gid_map", text) : error;
}

int demo_network_enter(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (unshare(CLONE_NEWNET) == 0)
		return raise_loopback();
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) {
		int error = map_identity(uid, gid);

		return error == 0 ? raise_loopback() : error;
	}
	return -errno;
}

int demo_network_narrow(int n_ports)
{
	char text[64];
	int error;

	snprintf(text, sizeof(text), "%d %d", FIRST_PORT, FIRST_PORT + n_ports - 1);
	error = write_text("/proc/sys/net/ipv4/ip_local_port_range", text);
	return error == 0 ? write_text("/proc/sys/net/ipv4/tcp_tw_reuse", "0") : error;
}

void demo_network_count_time_wait(uint16_t port, unsigned *n_client, unsigned *n_server)
{
	unsigned local, remote, state;
	char line[512];
	FILE *table = fopen("/proc/net/tcp", "re");

	*n_client = *n_server = 0;
	while (table && fgets(line, sizeof(line), table)) {
		if (sscanf(line, " %*u: %*8x:%x %*8x:%x %x", &local, &remote, &state) != 3 || state != TIME_WAIT)
			continue;
		*n_client += remote == port;
		*n_server += local == port;
	}
	if (table)
		fclose(table);
}
