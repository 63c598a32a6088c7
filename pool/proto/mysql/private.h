/* Between the two directions; see framing.h. */
#pragma once

#include "pool/proto/mysql/framing.h"

/* The first reason stays. */
static inline void mysql_doubt(struct mysql *mysql, enum refusal why)
{
	if (mysql->doubt == REFUSAL_NONE)
		mysql->doubt = why;
}

/* Ends of messages are not known any more. */
static inline void mysql_lose(struct mysql *mysql, enum refusal why)
{
	mysql_doubt(mysql, why);
	mysql->is_lost = true;
}
