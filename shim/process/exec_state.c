/* See exec_state.h. Works on the caller's stack only: a vfork child may be the caller. */
#include "shim/process/exec_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "pool/proto/protocol.h"
#include "shim/base/cookie.h"
#include "shim/base/home.h"
#include "shim/base/lock.h"
#include "shim/base/off_switch.h"
#include "shim/base/real.h"
#include "shim/base/symbols.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/handoff.h"
#include "shim/sock/sock.h"

#define MAX_EXCHANGES 16
#define SCANNED_FDS 1024

/* The state of one exchange, in hexadecimal. */
struct record {
	uint64_t stamp;
	uint64_t anchor;
	uint64_t cookie;
	int32_t domain;
	struct protocol_state protocol;
};

#define RECORD_TEXT (2 * sizeof(struct record))

/* A socket that came by an exec itself has no connection of the pool's. */
static uint64_t cookie_of_sock(const struct sock *sock)
{
	const struct conn *conn = sock->conn;

	return conn ? conn->cookie : sock->parked_cookie;
}

static bool is_owed(struct sock *sock, int all)
{
	if (sock->state != SOCK_OPEN || sock->transport || sock->is_lost || !cookie_of_sock(sock))
		return false;
	if (!protocol_status(&sock->protocol).owes_end)
		return false;
	/* A vfork child may have made duplicates of its own, which are known only by this. */
	all |= atomic_load(&sock->is_shared);
	for (unsigned i = 0; i < sock->n_fds && i < SOCK_MAX_FDS; i++)
		if (all || !sock_is_close_on_exec(sock, i))
			return true;
	return false;
}

static size_t count_environment(char *const environment[])
{
	size_t n = 0;

	while (environment && environment[n])
		n++;
	return n;
}

/* NULL: it has none. */
static char **find_variable(char **environment)
{
	size_t length = sizeof(EXEC_STATE_VARIABLE) - 1;

	for (char **at = environment; at && *at; at++)
		if (**at == *EXEC_STATE_VARIABLE && strncmp(*at, EXEC_STATE_VARIABLE, length) == 0 &&
		    (*at)[length] == '=')
			return at;
	return NULL;
}

void exec_state_forget(char **environment)
{
	char **at = find_variable(environment);

	for (; at && *at; at++)
		at[0] = at[1];
}

/* Without the exchanges. */
static size_t size_of(size_t n_environment)
{
	return (n_environment + 2) * sizeof(char *) + sizeof(EXEC_STATE_VARIABLE) + 1;
}

/* A first look without locks; exec_state_prepare() may find other ones, so the size is for the most that it can
 * take. */
size_t exec_state_size(char *const environment[], int all)
{
	size_t n = 0;

	for (int fd = 0, end = sock_n_tracked ? fdtable_end() : 0; fd < end && n < MAX_EXCHANGES; fd++) {
		struct sock *sock = fdtable_get_sock(fd);

		n += sock && sock->fds[0] == fd && is_owed(sock, all);
	}
	if (!n)
		return 0;
	return size_of(count_environment(environment)) + n * RECORD_TEXT;
}

bool exec_state_is_preloaded(char *const environment[])
{
	for (size_t i = 0; environment && environment[i]; i++)
		if (strncmp(environment[i], "LD_PRELOAD=", 11) == 0 && strstr(environment[i] + 11, symbols_own_name()))
			return true;
	return false;
}

static bool is_told_to_be_off(char *const environment[])
{
	for (size_t i = 0; environment && environment[i]; i++)
		if (environment[i][0] == 'H' && strcmp(environment[i], "HOLDLINE_MODE=off") == 0)
			return true;
	return false;
}

/* A library that is off in the new program is there, but reads no variable. With rules it may work in spite of
 * HOLDLINE_MODE=off; then its servers are asked in vain. */
static bool will_receive(char *const environment[])
{
	return exec_state_is_preloaded(environment) && !is_told_to_be_off(environment) && !off_switch_is_set();
}

static char *append_hex(char *to, const void *bytes, size_t length)
{
	const unsigned char *from = bytes;

	for (size_t i = 0; i < length; i++) {
		*to++ = "0123456789abcdef"[from[i] >> 4];
		*to++ = "0123456789abcdef"[from[i] & 15];
	}
	return to;
}

/* Each socket once, by its first number. Under its lock, which a vfork child shares with its parent. */
static bool describe(int fd, int all, struct record *record)
{
	struct sock *sock = fdtable_get_sock(fd);
	bool owed;

	if (!sock || !guard_lock_try(&sock->lock))
		return false;
	owed = fdtable_get(fd) == sock && sock->fds[0] == fd && is_owed(sock, all);
	if (owed) {
		record->stamp = protocol_stamp();
		record->anchor = protocol_anchor();
		record->cookie = cookie_of_sock(sock);
		record->domain = sock->domain;
		record->protocol = sock->protocol;
	}
	guard_unlock(&sock->lock);
	return owed;
}

/* Of the numbers that a program leaves to another one. A vfork child may have closed those that we know, and kept
 * duplicates. */
static void ask_for_end(uint64_t cookie)
{
	for (int fd = 0; fd < SCANNED_FDS; fd++)
		if (cookie_of(fd) == cookie) {
			real.shutdown(fd, SHUT_WR);
			return;
		}
}

/* In a vfork child, whose parent's state must stay: the servers are asked by no more than our end of file. */
static void hand_off_in_child(int all)
{
	int saved = errno;

	for (int fd = 0, end = fdtable_end(); fd < end; fd++) {
		struct record record = {0};

		if (describe(fd, all, &record) && !protocol_status(&record.protocol).has_more_to_send)
			ask_for_end(record.cookie);
	}
	errno = saved;
}

/* A file action may take along any of them, but to guess would harm those that stay. */
void exec_state_give_up(int all)
{
	if (guard_is_home())
		handoff_inheritable();
	else
		hand_off_in_child(all);
}

char **exec_state_prepare(void *buffer, size_t size, char *const environment[], int all)
{
	size_t n_environment = count_environment(environment);
	char **result = buffer, *text;
	size_t least = size_of(n_environment), n = 0;

	if (!buffer || size < least + RECORD_TEXT || !will_receive(environment)) {
		exec_state_give_up(all);
		return (char **)environment;
	}
	text = (char *)(result + n_environment + 2);
	memcpy(result, environment, n_environment * sizeof(char *));
	result[n_environment] = NULL;
	/* The variables of a system() that was left by longjmp. */
	exec_state_forget(result);
	n_environment = count_environment(result);
	result[n_environment] = text;
	result[n_environment + 1] = NULL;
	text = stpcpy(text, EXEC_STATE_VARIABLE "=");
	for (int fd = 0, end = fdtable_end(); fd < end && n < (size - least) / RECORD_TEXT; fd++) {
		struct record record = {0};

		if (!describe(fd, all, &record))
			continue;
		text = append_hex(text, &record, sizeof(record));
		n++;
	}
	*text = '\0';
	return result;
}

static int hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static bool parse_hex(const char *text, void *bytes, size_t length)
{
	unsigned char *to = bytes;

	for (size_t i = 0; i < length; i++) {
		int high = hex_digit(text[2 * i]);
		int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);

		if (low < 0)
			return false;
		to[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

static void adopt(const struct record *record, int fd)
{
	struct protocol_state state = record->protocol;
	struct sock *sock;

	if (!protocol_arrive(&state, record->anchor))
		return;
	sock_track(fd, record->domain, 0, NULL);
	sock = exchange_enter(fd);
	if (!sock)
		return;
	sock->close_on_exec[0] = SOCK_ASK_KERNEL;
	sock->status_flags = real.fcntl(fd, F_GETFL);
	sock->protocol = state;
	protocol_forbid_edits(&sock->protocol);
	sock_set_state(sock, SOCK_OPEN);
	sock->has_sent = true;
	sock->parked_cookie = record->cookie;
	sock->is_inherited = true;
	atomic_store(&sock->is_shared, true);
	log_event("inherit", sock, NULL);
	sock_leave(sock);
}

static void receive_record(const struct record *record)
{
	int first = -1;

	for (int fd = 0; fd < SCANNED_FDS; fd++) {
		struct sock *sock;

		if (fdtable_get(fd) || cookie_of(fd) != record->cookie)
			continue;
		if (first < 0) {
			adopt(record, first = fd);
		} else if ((sock = exchange_enter(first))) {
			sock_add_fd(sock, fd, false);
			sock_note_close_on_exec(sock, fd, SOCK_ASK_KERNEL);
			sock_leave(sock);
		}
	}
}

bool exec_state_is_told(char **environment)
{
	return find_variable(environment) != NULL;
}

void exec_state_receive(char **environment)
{
	char **at = find_variable(environment);
	struct record record;

	if (!at)
		return;
	for (const char *text = *at + sizeof(EXEC_STATE_VARIABLE); parse_hex(text, &record, sizeof(record));
	     text += RECORD_TEXT)
		if (record.stamp == protocol_stamp() && record.cookie)
			receive_record(&record);
	exec_state_forget(environment);
}
