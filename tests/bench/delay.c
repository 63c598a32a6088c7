/*
 * A cable of a given length, for kernels without netem: two tun devices, one in this network namespace and one in that
 * of another process; every packet that enters one leaves the other a fixed time later.
 *
 * delay PID MICROSECONDS: makes `far0` here and `near0` in the namespace of PID, prints `ready`, and runs until its
 * input ends.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define N_PACKETS 1024
#define MTU 1600

struct packet {
	int64_t due_ns;
	long length;
	char bytes[MTU];
};

/* One direction: a ring; packets that don't fit are lost, as on a cable. */
struct direction {
	int from, to;
	unsigned head, tail;
	struct packet packets[N_PACKETS];
};

static struct direction directions[2];

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int open_tun(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request)) {
		perror("tun");
		exit(1);
	}
	return fd;
}

static void take_in(struct direction *direction, int64_t delay_ns)
{
	while (direction->head - direction->tail < N_PACKETS) {
		struct packet *packet = &direction->packets[direction->head % N_PACKETS];

		packet->length = read(direction->from, packet->bytes, MTU);
		if (packet->length <= 0)
			break;
		packet->due_ns = now_ns() + delay_ns;
		direction->head++;
	}
}

static void let_out(struct direction *direction)
{
	while (direction->tail != direction->head) {
		struct packet *packet = &direction->packets[direction->tail % N_PACKETS];

		if (packet->due_ns > now_ns() || write(direction->to, packet->bytes, (size_t)packet->length) < 0)
			break;
		direction->tail++;
	}
}

/* Time until the next packet is due, or forever. */
static struct timespec *next_due(struct timespec *wait)
{
	int64_t first = INT64_MAX, left;

	for (int i = 0; i < 2; i++)
		if (directions[i].tail != directions[i].head &&
		    directions[i].packets[directions[i].tail % N_PACKETS].due_ns < first)
			first = directions[i].packets[directions[i].tail % N_PACKETS].due_ns;
	if (first == INT64_MAX)
		return NULL;
	left = first - now_ns();
	left = left > 0 ? left : 0;
	wait->tv_sec = left / 1000000000;
	wait->tv_nsec = left % 1000000000;
	return wait;
}

int main(int argc, char **argv)
{
	char path[64], byte;
	int far, near, namespace;
	int64_t delay_ns;

	if (argc != 3)
		return 2;
	delay_ns = atoll(argv[2]) * 1000;
	far = open_tun("far0");
	snprintf(path, sizeof path, "/proc/%s/ns/net", argv[1]);
	namespace = open(path, O_RDONLY);
	if (namespace < 0 || setns(namespace, CLONE_NEWNET)) {
		perror("setns");
		return 1;
	}
	near = open_tun("near0");
	prctl(PR_SET_TIMERSLACK, 1000UL);
	directions[0].from = directions[1].to = far;
	directions[0].to = directions[1].from = near;
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct pollfd pollfds[3] = {
			{.fd = far, .events = POLLIN}, {.fd = near, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
		struct timespec wait;

		ppoll(pollfds, 3, next_due(&wait), NULL);
		if (pollfds[2].revents && read(0, &byte, 1) <= 0)
			return 0;
		for (int i = 0; i < 2; i++) {
			take_in(&directions[i], delay_ns);
			let_out(&directions[i]);
		}
	}
}
