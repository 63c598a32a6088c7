/* See login.h. */
#include "pool/conn/login.h"

#include <string.h>

/* CLIENT_CONNECT_WITH_DB */
#define NAMES_DATABASE 0x8u

struct pool_farewell login_farewell(const struct login *login)
{
	struct pool_farewell farewell = {.length = login->goodbye_length};

	memcpy(farewell.bytes, login->goodbye, login->goodbye_length);
	return farewell;
}

bool login_is_alike(const struct login *one, const struct login *other)
{
	return ((one->capabilities ^ other->capabilities) & ~NAMES_DATABASE) == 0 &&
	       one->max_packet == other->max_packet && one->extended == other->extended;
}

static bool is_alike(const struct login_site *site, const struct login *login)
{
	return login_is_alike(&(struct login){.capabilities = site->capabilities,
					      .max_packet = site->max_packet,
					      .extended = site->extended},
			      login);
}

static const struct login_site *find(const struct login_habits *habits, uint64_t who)
{
	for (unsigned i = 0; i < LOGIN_SITES; i++)
		if (habits->sites[i].who == who)
			return &habits->sites[i];
	return NULL;
}

unsigned login_habits_note(struct login_habits *habits, uint64_t who, const struct login *login)
{
	struct login_site *site = (struct login_site *)find(habits, who);

	if (site) {
		site->is_ambiguous |= !is_alike(site, login);
		return site->n++;
	}
	site = &habits->sites[habits->next_site++ % LOGIN_SITES];
	*site = (struct login_site){.who = who,
				    .capabilities = login->capabilities,
				    .max_packet = login->max_packet,
				    .extended = login->extended,
				    .n = 1};
	return 0;
}

bool login_habits_expect(const struct login_habits *habits, uint64_t who, const struct login *login)
{
	const struct login_site *site = find(habits, who);

	return site && !site->is_ambiguous && is_alike(site, login) &&
	       (!login->offers_tls || site->n >= LOGIN_PLAIN_ENOUGH);
}

bool login_habits_allow(const struct login_habits *habits, uint64_t who, const struct login *login)
{
	const struct login_site *site = find(habits, who);

	return !site || (!site->is_ambiguous && is_alike(site, login));
}

void login_habits_forbid(struct login_habits *habits, uint64_t who)
{
	struct login_site *site = (struct login_site *)find(habits, who);

	if (site)
		site->is_ambiguous = true;
}

void login_habits_note_user(struct login_habits *habits, uint64_t user)
{
	if (!login_habits_know_user(habits, user))
		habits->users[habits->next_user++ % LOGIN_USERS] = user;
}

bool login_habits_know_user(const struct login_habits *habits, uint64_t user)
{
	for (unsigned i = 0; i < LOGIN_USERS; i++)
		if (habits->users[i] == user)
			return true;
	return false;
}
