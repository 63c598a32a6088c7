/* Numbers on lines of their own. See private.h. */
#include "pool/proto/redis/private.h"

#define DIGITS_MAX 19

static enum redis_number_result end_digits(struct redis_number *number)
{
	uint64_t most = (uint64_t)INT64_MAX + number->is_negative;

	if (!number->n_digits || number->value > most || (number->is_negative && !number->value))
		return REDIS_NUMBER_BAD;
	number->after_cr = true;
	return REDIS_NUMBER_MORE;
}

enum redis_number_result redis_number_take(struct redis_number *number, char byte)
{
	if (number->after_cr)
		return byte == '\n' ? REDIS_NUMBER_DONE : REDIS_NUMBER_BAD;
	if (byte == '\r')
		return end_digits(number);
	if (byte == '-' && !number->n_digits && !number->is_negative) {
		number->is_negative = true;
		return REDIS_NUMBER_MORE;
	}
	/* No digit behind a leading zero. */
	if (byte < '0' || byte > '9' || number->n_digits == DIGITS_MAX || (number->n_digits && !number->value))
		return REDIS_NUMBER_BAD;
	number->value = number->value * 10 + (uint64_t)(byte - '0');
	number->n_digits++;
	return REDIS_NUMBER_MORE;
}
