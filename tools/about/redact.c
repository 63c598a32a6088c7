/* See redact.h. */
#include "tools/about/redact.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "pool/stats/stats.h"

/* A name with one of these in it is a secret's: DB_PASSWORD, MYSQL_PWD, api-key, X-Auth-Token. */
static const char *const secret_words[] = {"pass",	 "pwd",	    "secret",	 "token",   "auth", "cookie",
					   "credential", "private", "signature", "session", "dsn",  "psk"};

/* A word of a name that is one of these, between the marks of the name: AWS_KEY, sig, x-key-2. */
static const char *const secret_parts[] = {"key", "keys", "apikey", "sig", "pw"};

struct out {
	char *text;
	size_t length, room;
};

static void add(struct out *out, const char *text, size_t length)
{
	if (length > out->room - 1 - out->length)
		length = out->room - 1 - out->length;
	memcpy(out->text + out->length, text, length);
	out->length += length;
	out->text[out->length] = '\0';
}

static bool is_of_name(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

static bool has_word(const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof(secret_words) / sizeof(secret_words[0]); i++) {
		size_t n = strlen(secret_words[i]);

		for (size_t at = 0; at + n <= length; at++)
			if (strncasecmp(name + at, secret_words[i], n) == 0)
				return true;
	}
	return false;
}

static bool is_secret_part(const char *part, size_t length)
{
	for (size_t i = 0; i < sizeof(secret_parts) / sizeof(secret_parts[0]); i++)
		if (strlen(secret_parts[i]) == length && strncasecmp(part, secret_parts[i], length) == 0)
			return true;
	return false;
}

/* The log's last line has a counter for each reason: `auth_bound=2`. */
static bool is_reason(const char *name, size_t length)
{
	for (int why = REFUSAL_NONE + 1; why < REFUSAL_COUNT; why++)
		if (strlen(stats_refusal_names[why]) == length && strncmp(name, stats_refusal_names[why], length) == 0)
			return true;
	return false;
}

static bool is_secret(const char *name, size_t length)
{
	if (is_reason(name, length))
		return false;
	if (has_word(name, length))
		return true;
	for (size_t at = 0; at < length;) {
		size_t n = 0;

		while (at + n < length && isalnum((unsigned char)name[at + n]))
			n++;
		if (n && is_secret_part(name + at, n))
			return true;
		at += n + 1;
	}
	return false;
}

/* The length of the user in a URL, its '@' included; 0: there is none. `text` begins behind "://". */
static size_t measure_user(const char *text)
{
	size_t end = strcspn(text, "/?# \t\"'<>");

	while (end > 0 && text[end - 1] != '@')
		end--;
	return end;
}

/* The length of what stands before the quotation mark that ends it; one behind a backslash does not. */
static size_t measure_quoted(const char *text, char quote)
{
	size_t n = 0;

	while (text[n] && text[n] != quote)
		n += text[n] == '\\' && text[n + 1] ? 2 : 1;
	return n;
}

/* The length of the value that begins behind `NAME=` or `NAME:`. A field of HTTP goes to the end of its line or of the
 * quotation; so does an assignment that begins with `quote`, as in "NAME=VALUE". */
static size_t measure_value(const char *text, char separator, char quote)
{
	size_t blanks = strspn(text, " \t");

	if (separator == '=' && (quote == '"' || quote == '\''))
		return measure_quoted(text, quote);
	if (text[blanks] == '"' || text[blanks] == '\'')
		return blanks + 1 + measure_quoted(text + blanks + 1, text[blanks]);
	if (separator == ' ')
		return blanks + strcspn(text + blanks, " \t\"'");
	return blanks + strcspn(text + blanks, separator == ':' ? "\"'" : " \t\"'&;");
}

/* `--password VALUE`: a flag's value stands apart. */
static bool is_flag(const char *line, const char *name, size_t length)
{
	return length > 1 && name[0] == '-' && (name == line || strchr(" \t\"'[,", name[-1]));
}

/* -pSECRET, as of mysql, but not -password SECRET. Other programs have other flags with this letter, which go, too. */
static bool is_joined_password(const char *line, const char *name, size_t length)
{
	static const char *const flags[] = {"pass", "pwd", "psk", "private"};

	if (!is_flag(line, name, length) || name[1] != 'p' || !name[2] || strchr(" \t\"',]", name[2]))
		return false;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (strncmp(name + 1, flags[i], strlen(flags[i])) == 0)
			return false;
	return true;
}

/* Flags whose value is a user with a password: -u, --user. */
static bool is_login_flag(const char *line, const char *name, size_t length)
{
	return is_flag(line, name, length) &&
	       ((length == 2 && strncmp(name, "-u", 2) == 0) || (length == 6 && strncmp(name, "--user", 6) == 0));
}

/* `user:password@`, which has no "://" before it: the length with the '@'; 0: it is none. */
static size_t measure_login(const char *text)
{
	size_t user = 0, end;

	while (is_of_name(text[user]))
		user++;
	if (user == 0 || text[user] != ':' || strncmp(text + user, "://", 3) == 0)
		return 0;
	end = user + 1 + strcspn(text + user + 1, " \t\"'<>");
	while (end > user && text[end] != '@')
		end--;
	return end > user ? end + 1 : 0;
}

/* What stands between a name and its value: `=`, `:` or the blank behind a flag, with the quotation mark or bracket of
 * the name before it and blanks around it. Its length up to the value; 0: there is none. */
static size_t measure_separator(const char *text, bool flag, char *separator)
{
	size_t n = strspn(text, "\"']"), blanks = strspn(text + n, " \t");

	*separator = text[n + blanks];
	if (*separator == '=' || *separator == ':')
		return n + blanks + 1;
	*separator = ' ';
	/* In a list the flag and its value have quotation marks each. */
	return flag ? n + strspn(text + n, ", \t") : 0;
}

static void add_redacted(struct out *out)
{
	add(out, REDACTED, strlen(REDACTED));
}

/* Copies a name and leaves out its value, if that is a secret. Returns what was taken of the line. */
static size_t take_name(struct out *out, const char *line, const char *at)
{
	size_t length = 0, n;
	char separator, quote = at > line ? at[-1] : '\0';

	while (is_of_name(at[length]))
		length++;
	if (is_joined_password(line, at, length)) {
		add(out, at, 2);
		add_redacted(out);
		return 2 + strcspn(at + 2, " \t\"'");
	}
	add(out, at, length);
	if (!is_secret(at, length) && !is_login_flag(line, at, length))
		return length;
	n = measure_separator(at + length, is_flag(line, at, length), &separator);
	if (!n)
		return length;
	add(out, at + length, n);
	add_redacted(out);
	return length + n + measure_value(at + length + n, separator, at[length] == separator ? quote : '\0');
}

void redact_line(const char *line, char *clean, size_t room)
{
	struct out out = {clean, 0, room};
	const char *at = line;

	*clean = '\0';
	while (*at) {
		size_t skipped;

		if (strncmp(at, "://", 3) == 0) {
			skipped = measure_user(at + 3);
			add(&out, at, 3);
			if (skipped)
				add(&out, REDACTED "@", strlen(REDACTED) + 1);
			at += 3 + skipped;
		} else if ((skipped = measure_login(at))) {
			add(&out, REDACTED "@", strlen(REDACTED) + 1);
			at += skipped;
		} else if (is_of_name(*at)) {
			at += take_name(&out, line, at);
		} else {
			add(&out, at++, 1);
		}
	}
}
