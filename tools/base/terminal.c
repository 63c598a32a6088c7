/* See terminal.h. The handlers call only functions of signal-safety(7). */
#include "tools/base/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "pool/base/clock.h"

#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"
#define HOME "\033[H"
#define CLEAR_LINE "\033[K"
#define CLEAR_BELOW "\033[J"
#define SECOND_MS 1000

/* Handlers run only while terminal_wait() waits, except those of signals that kill: they may interrupt anything, and
 * read these. */
static struct termios saved;
static volatile sig_atomic_t is_entered, has_keys, is_changed;

static void put(const char *text, size_t length)
{
	while (length > 0) {
		ssize_t n = write(STDOUT_FILENO, text, length);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (n > 0) {
			text += n;
			length -= (size_t)n;
		}
	}
}

static void show(void)
{
	struct termios raw = saved;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	put(ENTER, sizeof(ENTER) - 1);
	is_entered = 1;
}

void terminal_leave(void)
{
	if (!is_entered)
		return;
	is_entered = 0;
	put(LEAVE, sizeof(LEAVE) - 1);
	if (has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

/* SA_RESETHAND has restored the default action. */
static void die(int number)
{
	int error = errno;

	terminal_leave();
	raise(number);
	errno = error;
}

static void handle(int number, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

	sigemptyset(&action.sa_mask);
	sigaction(number, &action, NULL);
}

static void stop(int number)
{
	int error = errno;

	terminal_leave();
	handle(number, SIG_DFL, 0);
	raise(number); /* returns when the process is continued */
	handle(number, stop, SA_NODEFER);
	show();
	is_changed = 1;
	errno = error;
}

static void note_change(int number)
{
	(void)number;
	is_changed = 1;
}

/* Signals that change the screen are unblocked only while terminal_wait() waits: none interrupts drawing. */
static void block(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGTSTP);
	sigprocmask(how, &set, NULL);
}

int terminal_enter(void)
{
	static const int deadly[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGABRT,
				     SIGBUS, SIGFPE, SIGILL,  SIGSEGV, SIGALRM, SIGXCPU};

	if (!isatty(STDOUT_FILENO))
		return -ENOTTY;
	has_keys = tcgetattr(STDIN_FILENO, &saved) == 0;
	block(SIG_BLOCK);
	for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		handle(deadly[i], die, SA_RESETHAND | SA_NODEFER);
	handle(SIGTSTP, stop, SA_NODEFER);
	handle(SIGWINCH, note_change, 0);
	atexit(terminal_leave);
	show();
	return 0;
}

/* Typed bytes that are not consumed yet. */
static char typed[64];
static size_t n_typed;

/* Length in bytes of the key that `typed` begins with: 1 for a lone escape; with a bracket behind it, the sequence up
 * to a letter. */
static size_t measure_key(void)
{
	size_t length = 2;

	if (typed[0] != TERMINAL_ESCAPE || n_typed < 2 || (typed[1] != '[' && typed[1] != 'O'))
		return 1;
	while (length < n_typed && (typed[length] < '@' || typed[length] > '~'))
		length++;
	return length < n_typed ? length + 1 : n_typed;
}

static enum terminal_event take_key(char *key)
{
	size_t length = measure_key();

	*key = length == 1 ? typed[0] : '\0';
	n_typed -= length;
	memmove(typed, typed + length, n_typed);
	return TERMINAL_KEY;
}

static enum terminal_event read_keys(char *key)
{
	ssize_t n = read(STDIN_FILENO, typed, sizeof(typed));

	if (n <= 0)
		return n < 0 && errno == EINTR ? TERMINAL_REDRAW : TERMINAL_CLOSED;
	n_typed = (size_t)n;
	return take_key(key);
}

enum terminal_event terminal_wait(int timeout_ms, char *key)
{
	struct timespec timeout = {timeout_ms / SECOND_MS, (long)(timeout_ms % SECOND_MS * MILLISECOND_NS)};
	struct pollfd entry = {.fd = has_keys ? STDIN_FILENO : -1, .events = POLLIN};
	sigset_t open;
	int n;

	if (n_typed > 0)
		return take_key(key);
	sigprocmask(SIG_SETMASK, NULL, &open);
	sigdelset(&open, SIGWINCH);
	sigdelset(&open, SIGTSTP);
	n = ppoll(&entry, 1, &timeout, &open);
	if (is_changed) {
		is_changed = 0;
		return TERMINAL_REDRAW;
	}
	return n > 0 ? read_keys(key) : TERMINAL_TIMEOUT;
}

void terminal_size(unsigned *columns, unsigned *lines)
{
	struct winsize size = {0};

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	*columns = size.ws_col ? size.ws_col : 80;
	*lines = size.ws_row ? size.ws_row : 24;
}

/* One write per screen avoids flicker. */
struct pen {
	char bytes[16384];
	size_t n;
};

static void pen_flush(struct pen *pen)
{
	put(pen->bytes, pen->n);
	pen->n = 0;
}

static void pen_add(struct pen *pen, const char *text, size_t length)
{
	if (length > sizeof(pen->bytes) - pen->n)
		pen_flush(pen);
	if (length > sizeof(pen->bytes))
		return;
	memcpy(pen->bytes + pen->n, text, length);
	pen->n += length;
}

void terminal_draw(const char *text, size_t length)
{
	const char *end = text + length;
	struct pen pen = {.n = 0};

	pen_add(&pen, HOME, sizeof(HOME) - 1);
	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((newline ? newline : end) - text);

		pen_add(&pen, text, n);
		pen_add(&pen, CLEAR_LINE, sizeof(CLEAR_LINE) - 1);
		text += n + 1;
		/* A newline after the last line could scroll the screen. */
		if (text < end)
			pen_add(&pen, "\r\n", 2);
	}
	pen_add(&pen, CLEAR_BELOW, sizeof(CLEAR_BELOW) - 1);
	pen_flush(&pen);
}
