/*
 * A hostile process of the same user: sends anything to the broker, and writes anything into the memory shared with it.
 *
 * attack BROKER PORT KIND SECONDS: "scribble" parks connections to PORT and scribbles over its slots; "flood" asks and
 * never reads. Prints how many packets it sent, and how often it was cut off.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "pool/base/fdpass.h"
#include "pool/share/wire.h"

static const struct pool_sys sys = {.sendmsg = sendmsg, .recvmsg = recvmsg, .close = close};

static struct slots_region *region;
static int port;
static unsigned long n_sent, n_cut_off;

/* Of any type, also of one that never comes first. */
static struct broker_request first_question(void)
{
	struct broker_request first = {
		.head = broker_wire_head(rand() % 4 ? BROKER_LEASE : (unsigned)rand() % 16, 1, (uint32_t)rand())};

	first.slot = (unsigned)rand() % 8;
	first.key.family = rand() % 4 ? AF_INET : (uint16_t)rand();
	return first;
}

static int meet(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct broker_hello hello = {.head = broker_wire_head(BROKER_HELLO, 0, 0), .name = "attack"};
	union broker_packet packet;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), passed = -1;
	struct pollfd entry = {.fd = fd, .events = POLLIN};
	unsigned n_passed;

	if (rand() % 2)
		hello.first = first_question();
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    fdpass_send(&sys, fd, &hello, sizeof(hello), -1) || poll(&entry, 1, 5000) <= 0 ||
	    fdpass_receive(&sys, fd, &packet, sizeof(packet), &passed, &n_passed) <= 0 || passed < 0) {
		close(fd);
		return -1;
	}
	if (region)
		munmap(region, sizeof(*region));
	region = mmap(NULL, sizeof(*region), PROT_READ | PROT_WRITE, MAP_SHARED, passed, 0);
	/* The memory can't be truncated under the broker. */
	if (ftruncate(passed, 0) == 0 || region == MAP_FAILED)
		exit(3);
	close(passed);
	return fd;
}

static int dial(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((in_port_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return open("/dev/null", O_RDWR);
	}
	return fd;
}

static uint64_t ask(int fd, int name)
{
	uint64_t value = 0;
	socklen_t length = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &length) < 0 ? 0 : value;
}

static void set_word(unsigned slot, uint64_t generation, unsigned state)
{
	atomic_store(&region->slots[slot].word, generation << 8 | state);
}

static void scribble(void)
{
	unsigned char *bytes = (unsigned char *)region;

	for (int i = 0; i < 20; i++)
		set_word((unsigned)rand() % 8, (unsigned)rand() % 3, (unsigned)rand() % 6);
	if (rand() % 4 == 0)
		bytes[(size_t)rand() % sizeof(*region)] ^= (unsigned char)rand();
	if (rand() % 16 == 0)
		atomic_store(&region->n_taken, (uint32_t)rand());
}

static void fill_key(struct destination_key *key, int fd)
{
	key->netns_cookie = ask(fd, SO_NETNS_COOKIE);
	key->euid = geteuid();
	key->family = AF_INET;
	key->port = htons((in_port_t)port);
	memcpy(key->address, "\x7f\0\0\1", 4);
	if (rand() % 8 == 0)
		key->options_length = (uint16_t)rand();
	if (rand() % 8 == 0)
		key->port = (in_port_t)rand();
}

/* Random packets, half of them well-formed. */
static int say(int fd, bool only_asks)
{
	static const enum broker_message types[] = {BROKER_LEASE, BROKER_LIST, BROKER_PARK, BROKER_DROP, BROKER_LOOKED};
	enum broker_message type = types[(unsigned)rand() % (only_asks ? 2 : 5)];
	struct broker_request request = {.head = broker_wire_head(type, (uint32_t)rand(), (uint32_t)rand())};
	int passed = type == BROKER_PARK ? dial() : -1, error;
	size_t length = type == BROKER_LIST ? sizeof(request.head) : sizeof(request);

	request.slot = (unsigned)rand() % 8;
	request.generation = (unsigned)rand() % 3;
	request.cookie = passed >= 0 ? ask(passed, SO_COOKIE) : 0;
	fill_key(&request.key, passed);
	if (type == BROKER_LIST)
		request.head.sequence = (uint32_t)rand() % 100;
	if (!only_asks && rand() % 64 == 0)
		length = (size_t)rand() % sizeof(request);
	if (!only_asks)
		set_word((unsigned)request.slot, request.generation, (unsigned)rand() % 6);
	error = fdpass_send(&sys, fd, &request, length, passed);
	if (passed >= 0)
		close(passed);
	n_sent++;
	return error;
}

static void drain(int fd)
{
	union broker_packet packet;
	unsigned n_passed;
	int passed;

	while (fdpass_receive(&sys, fd, &packet, sizeof(packet), &passed, &n_passed) > 0)
		if (passed >= 0)
			close(passed);
}

int main(int argc, char **argv)
{
	bool is_flood = argc == 5 && strcmp(argv[3], "flood") == 0;
	time_t end = time(NULL) + (argc == 5 ? atoi(argv[4]) : 0);
	int fd = -1;

	if (argc != 5)
		return 2;
	port = atoi(argv[2]);
	srand((unsigned)getpid());
	while (time(NULL) <= end) {
		int error;

		if (fd < 0 && (fd = meet(argv[1])) < 0) {
			usleep(1000);
			continue;
		}
		error = say(fd, is_flood);
		if (!is_flood) {
			scribble();
			drain(fd);
		}
		if (error == -EAGAIN) {
			usleep(10);
		} else if (error) {
			n_cut_off++;
			close(fd);
			fd = -1;
		}
	}
	printf("%lu packets, cut off %lu times\n", n_sent, n_cut_off);
	return 0;
}
