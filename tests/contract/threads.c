/* Several threads on one connection, and many threads with connections of their own. */
#include "tests/lib/probe.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sys/uio.h>
#include <time.h>

static int shared_fd;
static char answer[65536];

static void *read_to_end(void *unused)
{
	long n, total = 0;

	(void)unused;
	while ((n = recv(shared_fd, answer + total, 50, 0)) > 0)
		total += n;
	return (void *)(n < 0 ? -1 : total);
}

static void join(const char *what, pthread_t thread)
{
	struct timespec limit;
	void *result = NULL;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 5;
	if (pthread_timedjoin_np(thread, &result, &limit))
		say("%s never ends", what);
	else if (result == PTHREAD_CANCELED)
		say("%s was cancelled", what);
	else
		say("%s: %ld", what, (long)result);
}

static void run_reader_thread(void)
{
	pthread_t thread;

	shared_fd = probe_dial();
	pthread_create(&thread, NULL, read_to_end, NULL);
	probe_settle();
	probe_ask(shared_fd, "/slow-two-pieces/20");
	join("reader", thread);
	probe_read(shared_fd, 10);
	CALL(close(shared_fd));
	probe_exchange("/bytes/10");
}

static void run_shutdown_wakes(void)
{
	pthread_t thread;

	shared_fd = probe_dial();
	pthread_create(&thread, NULL, read_to_end, NULL);
	probe_settle();
	CALL(shutdown(shared_fd, SHUT_RDWR));
	join("reader", thread);
	CALL(close(shared_fd));
}

static void *poll_for_end(void *events)
{
	struct pollfd pollfd = {.fd = shared_fd, .events = (short)(intptr_t)events};
	int n = poll(&pollfd, 1, 3000);

	return (void *)(intptr_t)(n == 1 ? pollfd.revents : n);
}

/* One thread sleeps in poll for the end, another reads the answer. */
static void run_poller_and_reader(void)
{
	pthread_t thread;

	shared_fd = probe_dial();
	probe_ask(shared_fd, "/slow-two-pieces/50");
	pthread_create(&thread, NULL, poll_for_end, (void *)POLLRDHUP);
	probe_settle();
	probe_drain(shared_fd);
	join("poller", thread);
	CALL(close(shared_fd));
	probe_exchange("/bytes/10");
}

static void *wait_in_epoll(void *set)
{
	struct epoll_event event = {0};
	int n = epoll_wait((int)(intptr_t)set, &event, 1, 3000);

	return (void *)(intptr_t)(n == 1 ? (long)event.events : n);
}

static void run_epoll_and_reader(void)
{
	int set = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET};
	pthread_t thread;

	shared_fd = probe_dial();
	CALL(epoll_ctl(set, EPOLL_CTL_ADD, shared_fd, &event));
	probe_ask(shared_fd, "/slow-two-pieces/50");
	pthread_create(&thread, NULL, wait_in_epoll, (void *)(intptr_t)set);
	probe_settle();
	probe_drain(shared_fd);
	join("waiter", thread);
	CALL(close(shared_fd));
	CALL(close(set));
}

/* Two readers: both must see the end, and neither anything of the next connection. */
static void run_two_readers(void)
{
	pthread_t threads[2];
	void *results[2];

	shared_fd = probe_dial();
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, read_to_end, NULL);
	probe_settle();
	probe_ask(shared_fd, "/bytes/500");
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], &results[i]);
	say("together %ld", (long)results[0] + (long)results[1]);
	CALL(close(shared_fd));
	probe_exchange("/bytes/10");
}

static void *cancelled_reader(void *unused)
{
	char byte;

	(void)unused;
	return (void *)(intptr_t)read(shared_fd, &byte, 1);
}

static void cancel(bool ask_first)
{
	pthread_t thread;

	shared_fd = probe_dial();
	if (ask_first)
		probe_ask(shared_fd, "/sleep/100");
	pthread_create(&thread, NULL, cancelled_reader, NULL);
	probe_settle();
	CALL(pthread_cancel(thread));
	join("reader", thread);
	if (!ask_first)
		probe_ask(shared_fd, "/bytes/20");
	probe_drain(shared_fd);
	CALL(close(shared_fd));
	probe_exchange("/bytes/10");
}

static void run_cancel(void)
{
	cancel(false);
}
static void run_cancel_asked(void)
{
	cancel(true);
}

static void *cancelled_connect(void *unused)
{
	(void)unused;
	for (;;)
		probe_exchange("/bytes/10");
	return NULL;
}

static void run_cancel_anywhere(void)
{
	for (unsigned i = 0; i < 20; i++) {
		pthread_t thread;

		pthread_create(&thread, NULL, cancelled_connect, NULL);
		usleep(500 + i * 211);
		pthread_cancel(thread);
		join("exchanger", thread);
	}
	closefrom(3);
	probe_exchange("/bytes/10");
	say("alive");
}

static void *many_exchanges(void *number)
{
	char path[64], bytes[4096];
	long wrong = 0;

	for (long i = 0; i < 200; i++) {
		long size = 1 + (long)(intptr_t)number * 137 + i, total = 0, n;
		int fd = probe_dial();

		snprintf(path, sizeof path, "/bytes/%ld", size);
		probe_ask(fd, path);
		while ((n = read(fd, bytes + total, sizeof bytes - 1 - (size_t)total)) > 0)
			total += n;
		bytes[total] = 0;
		if (!strstr(bytes, "\r\n\r\n") || total - (strstr(bytes, "\r\n\r\n") + 4 - bytes) != size)
			wrong++;
		close(fd);
	}
	return (void *)wrong;
}

static void run_many(void)
{
	pthread_t threads[8];

	for (long i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, many_exchanges, (void *)i);
	for (int i = 0; i < 8; i++)
		join("wrong answers", threads[i]);
}

static void *churn(void *unused)
{
	(void)unused;
	for (int i = 0; i < 300; i++) {
		int fd = open("/dev/null", O_RDWR), copy = dup(fd);
		char byte = 'x';

		if (read(fd, &byte, 1) != 0 || write(copy, &byte, 1) != 1)
			return (void *)1;
		close(fd);
		close(copy);
	}
	return NULL;
}

/* Descriptors are reused between threads at high speed: a file never becomes a socket. */
static void run_churn(void)
{
	pthread_t threads[6];

	for (long i = 0; i < 6; i++)
		pthread_create(&threads[i], NULL, i % 2 ? churn : many_exchanges, (void *)i);
	for (int i = 0; i < 6; i++)
		join("wrong answers", threads[i]);
}

static void *close_it(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)close(shared_fd);
}

static void run_closed_elsewhere(void)
{
	for (int i = 0; i < 5; i++) {
		pthread_t thread;

		shared_fd = probe_dial();
		probe_ask(shared_fd, "/bytes/100");
		probe_drain(shared_fd);
		pthread_create(&thread, NULL, close_it, NULL);
		join("closer", thread);
		probe_read(shared_fd, 10);
	}
}

/* A load generator's threads read into one buffer: each overwrites the bytes of the others at once. */
static char *sink;
static char sink_among_variables[65536];

static long drain_into_sink(const char *path)
{
	struct iovec halves[2] = {{sink, 32768}, {sink + 32768, 32768}};
	struct msghdr message = {.msg_iov = halves, .msg_iovlen = 2};
	long n, total = 0;
	int fd = probe_dial();

	probe_ask(fd, path);
	do {
		n = total % 3 == 0   ? read(fd, sink, 65536)
		    : total % 3 == 1 ? readv(fd, halves, 2)
				     : recvmsg(fd, &message, 0);
		total += n;
	} while (n > 0);
	close(fd);
	return n < 0 ? -1 : total;
}

static void *drain_often(void *unused)
{
	long total = 0;

	(void)unused;
	for (int i = 0; i < 25; i++)
		total += drain_into_sink("/bytes/100") + drain_into_sink("/chunked/300");
	return (void *)total;
}

static void run_one_sink(void)
{
	pthread_t threads[8];

	sink = sink_among_variables;
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, drain_often, NULL);
	for (int i = 0; i < 8; i++)
		join("a thread", threads[i]);
}

/* The same in memory that may be unmapped. */
static void run_one_mapped_sink(void)
{
	pthread_t threads[8];

	sink = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, drain_often, NULL);
	for (int i = 0; i < 8; i++)
		join("a thread", threads[i]);
	munmap(sink, 65536);
}

static void *poll_forever(void *unused)
{
	struct pollfd pollfd = {.fd = shared_fd, .events = POLLRDHUP};

	(void)unused;
	return (void *)(intptr_t)poll(&pollfd, 1, -1);
}

/* A thread begins to wait for the end just when another one reads it. */
static void run_poll_at_the_end(void)
{
	long lost = 0;

	for (int i = 0; i < 1500; i++) {
		struct timespec limit;
		pthread_t thread;
		char bytes[512];

		shared_fd = probe_dial();
		probe_ask(shared_fd, "/bytes/10");
		recv(shared_fd, bytes, 1, MSG_PEEK);
		pthread_create(&thread, NULL, poll_forever, NULL);
		for (volatile int spin = 0; spin < i % 300 * 100; spin++)
			;
		while (read(shared_fd, bytes, sizeof bytes) > 0)
			;
		clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_sec++;
		if (pthread_timedjoin_np(thread, NULL, &limit)) {
			lost++;
			pthread_cancel(thread);
			pthread_join(thread, NULL);
		}
		close(shared_fd);
		if (lost)
			break;
	}
	say("lost %ld", lost);
}

static _Atomic(int) step;

static void *in_own_network(void *unused)
{
	int fd;

	(void)unused;
	if (unshare(CLONE_NEWNET)) {
		step = 1;
		return NULL;
	}
	step = 1;
	while (step != 2)
		usleep(1000);
	fd = probe_socket();
	CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	close(fd);
	return NULL;
}

/* Network namespaces belong to threads. */
static void run_network_of_a_thread(void)
{
	pthread_t thread;

	step = 0;
	pthread_create(&thread, NULL, in_own_network, NULL);
	while (step != 1)
		usleep(1000);
	for (int i = 0; i < 3; i++)
		probe_exchange("/bytes/10");
	step = 2;
	pthread_join(thread, NULL);
}

static void *exchange_thrice(void *unused)
{
	for (int i = 0; i < 3; i++)
		probe_exchange("/bytes/10");
	return unused;
}

static void exchange_in_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, exchange_thrice, NULL);
	join("exchanges", thread);
}

/* How many descriptors the kernel's table has room for. */
static int table_size(void)
{
	char line[256];
	int size = -1;
	FILE *status = fopen("/proc/self/status", "r");

	while (status && fgets(line, sizeof line, status))
		sscanf(line, "FDSize: %d", &size);
	if (status)
		fclose(status);
	return size;
}

/* The kernel's table of descriptors does not grow: in a process with threads that takes 15 to 50 ms. */
static void run_table_of_descriptors(void)
{
	int before = table_size();

	exchange_in_thread();
	say("%d more", table_size() - before);
}

/* Nor does it grow to its end where the limit can't be raised any more: half a megabyte for 65,536 descriptors. */
static void run_table_at_the_limit(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	CALL(setrlimit(RLIMIT_NOFILE, &limit));
	exchange_thrice(NULL);
	say("%s", table_size() > 2048 ? "large" : "small");
}

#define FIRST_NUMBER 30
#define LAST_NUMBER 66

/* Every number is the program's own, also those that ours have. */
static void run_numbers_of_ours(void)
{
	int file = open("/dev/null", O_RDONLY);

	exchange_in_thread();
	for (int fd = FIRST_NUMBER; fd < LAST_NUMBER; fd++) {
		if (close(fd) == 0 || errno != EBADF || fcntl(fd, F_GETFD) != -1)
			say("%d is there", fd);
	}
	exchange_in_thread();
	for (int fd = FIRST_NUMBER; fd < LAST_NUMBER; fd++)
		if (dup2(file, fd) != fd)
			say("%d could not be had: %s", fd, strerror(errno));
	exchange_in_thread();
	for (int fd = FIRST_NUMBER; fd < LAST_NUMBER; fd++)
		CALL(close(fd));
	exchange_in_thread();
	CALL(close_range(FIRST_NUMBER, LAST_NUMBER, 0));
	exchange_in_thread();
}

static _Atomic(bool) has_taken;

static void *exchange_until_taken(void *unused)
{
	for (int i = 0; i < 20000 && !has_taken; i++)
		probe_exchange("/bytes/10");
	return unused;
}

/* A pipe at each number in turn, while other threads make requests: what comes out is what went in. */
static int take_numbers(void)
{
	int pair[2], wrong = 0;

	if (pipe(pair))
		return -1;
	for (int fd = FIRST_NUMBER; fd < LAST_NUMBER; fd++) {
		char byte = 0;

		wrong += dup2(pair[0], fd) != fd || write(pair[1], "x", 1) != 1 || read(fd, &byte, 1) != 1 ||
			 byte != 'x' || close(fd) != 0;
	}
	close(pair[0]);
	close(pair[1]);
	return wrong;
}

static void run_numbers_in_turn(void)
{
	pthread_t threads[4];
	int wrong = 0;

	has_taken = false;
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, exchange_until_taken, NULL);
	for (int i = 0; i < 400; i++)
		wrong += take_numbers();
	has_taken = true;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	say("%d wrong", wrong);
}

/* A child of a process whose kept connections have low numbers. */
static void run_child_beside_ours(void)
{
	pid_t child;

	exchange_in_thread();
	child = fork();
	if (child == 0) {
		int n_open = 0;
		char path[64];

		for (int fd = FIRST_NUMBER; fd < LAST_NUMBER; fd++) {
			snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
			n_open += access(path, F_OK) == 0;
		}
		say("%d inherited", n_open);
		probe_exchange("/bytes/10");
		fflush(NULL);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	exchange_in_thread();
}

static const struct probe_case cases[] = {
	{"reader-thread", run_reader_thread},
	{"shutdown-wakes", run_shutdown_wakes},
	{"poller-and-reader", run_poller_and_reader},
	{"epoll-and-reader", run_epoll_and_reader},
	{"two-readers", run_two_readers},
	{"cancel", run_cancel},
	{"cancel-asked", run_cancel_asked},
	{"cancel-anywhere", run_cancel_anywhere},
	{"many", run_many},
	{"churn", run_churn},
	{"closed-elsewhere", run_closed_elsewhere},
	{"one-sink", run_one_sink},
	{"one-mapped-sink", run_one_mapped_sink},
	{"poll-at-the-end", run_poll_at_the_end},
	{"network-of-a-thread", run_network_of_a_thread},
	{"table-of-descriptors", run_table_of_descriptors},
	{"table-at-the-limit", run_table_at_the_limit},
	{"numbers-of-ours", run_numbers_of_ours},
	{"numbers-in-turn", run_numbers_in_turn},
	{"child-beside-ours", run_child_beside_ours},
};
PROBE_MAIN(cases)
