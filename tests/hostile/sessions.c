/*
 * Fresh connections to Redis, memcached and MariaDB in turn, each with a word that nobody else says: what comes back
 * has to be that word. Prints `done N wrong N failed N`, and a line once SAID requests are done, for who means to
 * kill it then. Usage: sessions REDIS MEMCACHED MARIADB REQUESTS THREADS [SAID].
 */
#include <arpa/inet.h>
#include <mariadb/mysql.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int ports[3];
static int n_requests; /* of a thread */
static unsigned n_said;
static unsigned n_done, n_wrong, n_failed;

static int dial(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

enum outcome { RIGHT, WRONG, FAILED };

/* Sends, and reads as many bytes as are expected. */
static enum outcome ask(int fd, const char *command, const char *expected)
{
	char answer[512];
	size_t length = strlen(expected), n = 0;

	if (send(fd, command, strlen(command), MSG_NOSIGNAL) != (ssize_t)strlen(command))
		return FAILED;
	while (n < length) {
		ssize_t more = recv(fd, answer + n, length - n, 0);

		if (more <= 0)
			return FAILED;
		n += (size_t)more;
	}
	return memcmp(answer, expected, length) == 0 ? RIGHT : WRONG;
}

/* Nothing that the user before has left may be seen: a database, a name, a script's answer. */
static enum outcome try_redis(int i, const char *word)
{
	char command[512], expected[128];
	int fd = dial(ports[0]);
	enum outcome outcome;

	if (fd < 0)
		return FAILED;
	snprintf(expected, sizeof(expected), "$%zu\r\n%s\r\n", strlen(word), word);
	switch (i % 4) {
	case 0:
		snprintf(command, sizeof(command), "*2\r\n$4\r\nECHO\r\n$%zu\r\n%s\r\n", strlen(word), word);
		break;
	case 1:
		snprintf(command, sizeof(command),
			 "*4\r\n$4\r\nEVAL\r\n$14\r\nreturn ARGV[1]\r\n$1\r\n0\r\n$%zu\r\n%s\r\n", strlen(word), word);
		break;
	case 2:
		strcpy(command, "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*2\r\n$3\r\nGET\r\n$5\r\nwhere\r\n");
		strcpy(expected, "+OK\r\n$5\r\nthree\r\n");
		break;
	default:
		strcpy(command, "*2\r\n$3\r\nGET\r\n$5\r\nwhere\r\n");
		strcpy(expected, "$4\r\nzero\r\n");
		break;
	}
	outcome = ask(fd, command, expected);
	close(fd);
	return outcome;
}

static enum outcome try_memcached(int i, const char *word)
{
	char command[512], expected[256];
	int fd = dial(ports[1]);
	enum outcome outcome;

	if (fd < 0)
		return FAILED;
	snprintf(command, sizeof(command), "set %s 0 60 %zu%s\r\n%s\r\nget %s\r\n", word, strlen(word),
		 i % 3 ? "" : " noreply", word, word);
	snprintf(expected, sizeof(expected), "%sVALUE %s 0 %zu\r\n%s\r\nEND\r\n", i % 3 ? "STORED\r\n" : "", word,
		 strlen(word), word);
	outcome = ask(fd, command, expected);
	close(fd);
	return outcome;
}

static enum outcome try_mariadb(const char *word)
{
	MYSQL *connection = mysql_init(NULL);
	enum outcome outcome = FAILED;
	char query[256];
	MYSQL_RES *result;
	MYSQL_ROW row;

	snprintf(query, sizeof(query), "select '%s', @left", word);
	if (mysql_real_connect(connection, "127.0.0.1", "u", "secret", "db", (unsigned)ports[2], NULL, 0) &&
	    mysql_query(connection, query) == 0 && (result = mysql_store_result(connection))) {
		row = mysql_fetch_row(result);
		outcome = row && row[0] && strcmp(row[0], word) == 0 && !row[1] ? RIGHT : WRONG;
		mysql_free_result(result);
		if (mysql_query(connection, "set @left = 1"))
			outcome = FAILED;
	}
	mysql_close(connection);
	return outcome;
}

static void *work(void *argument)
{
	int number = (int)(long)argument;
	char word[64];

	for (int i = 0; i < n_requests; i++) {
		enum outcome outcome;

		snprintf(word, sizeof(word), "w%d-%d-%d", (int)getpid(), number, i);
		/* MariaDB's connections cost ten times as much. */
		outcome = i % 16 == 15 ? try_mariadb(word) : i % 2 ? try_memcached(i, word) : try_redis(i / 2, word);
		if (__atomic_add_fetch(&n_done, 1, __ATOMIC_RELAXED) == n_said) {
			puts("these are done");
			fflush(stdout);
		}
		if (outcome == WRONG)
			__atomic_add_fetch(&n_wrong, 1, __ATOMIC_RELAXED);
		if (outcome == FAILED)
			__atomic_add_fetch(&n_failed, 1, __ATOMIC_RELAXED);
	}
	mysql_thread_end();
	return NULL;
}

int main(int argc, char *argv[])
{
	pthread_t threads[64];
	int n_threads = argc > 5 ? atoi(argv[5]) : 1;

	if (argc < 6 || n_threads < 1 || n_threads > 64 || mysql_library_init(0, NULL, NULL))
		return 2;
	for (int i = 0; i < 3; i++)
		ports[i] = atoi(argv[1 + i]);
	n_requests = atoi(argv[4]) / n_threads;
	n_said = argc > 6 ? (unsigned)atoi(argv[6]) : 0;
	for (long i = 0; i < n_threads; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)i))
			return 2;
	for (int i = 0; i < n_threads; i++)
		pthread_join(threads[i], NULL);
	printf("done %u wrong %u failed %u\n", n_done, n_wrong, n_failed);
	return n_wrong || n_failed;
}
