/* See certificate.h. */
#include "pool/tls/certificate.h"

#include <string.h>

enum tag {
	TAG_BOOLEAN = 0x01,
	TAG_INTEGER = 0x02,
	TAG_BIT_STRING = 0x03,
	TAG_OCTET_STRING = 0x04,
	TAG_NULL = 0x05,
	TAG_OID = 0x06,
	TAG_UTF8_STRING = 0x0c,
	TAG_PRINTABLE_STRING = 0x13,
	TAG_T61_STRING = 0x14,
	TAG_IA5_STRING = 0x16,
	TAG_UTC_TIME = 0x17,
	TAG_GENERALIZED_TIME = 0x18,
	TAG_SEQUENCE = 0x30,
	TAG_SET = 0x31,
	TAG_VERSION = 0xa0,
	TAG_EXTENSIONS = 0xa3,
};

/* What is left of something. */
struct span {
	const uint8_t *at, *end;
};

static size_t left_in(const struct span *span)
{
	return (size_t)(span->end - span->at);
}

/* X.690 10.1: definite, and as short as it can be; up to 64 KiB. */
static bool take_length(struct span *from, size_t *length)
{
	unsigned n;

	if (!left_in(from))
		return false;
	*length = *from->at++;
	if (*length < 0x80)
		return true;
	n = (unsigned)*length & 0x7f;
	if (n < 1 || n > 2 || n > left_in(from))
		return false;
	*length = 0;
	for (unsigned i = 0; i < n; i++)
		*length = *length << 8 | *from->at++;
	return *length >= (n == 1 ? 0x80u : 0x100u);
}

/* Whatever is there. After a failure nothing is of use any more. */
static bool take_any(struct span *from, uint8_t *tag, struct span *content)
{
	size_t length;

	if (!left_in(from))
		return false;
	*tag = *from->at++;
	if (!take_length(from, &length) || length > left_in(from))
		return false;
	*content = (struct span){from->at, from->at + length};
	from->at += length;
	return true;
}

static bool take(struct span *from, uint8_t tag, struct span *content)
{
	uint8_t found;

	return left_in(from) && *from->at == tag && take_any(from, &found, content);
}

/* X.690 8.3.2. */
static bool take_integer(struct span *from, struct span *content)
{
	if (!take(from, TAG_INTEGER, content) || !left_in(content))
		return false;
	return left_in(content) == 1 ||
	       !((content->at[0] == 0 && content->at[1] < 0x80) || (content->at[0] == 0xff && content->at[1] >= 0x80));
}

/* X.690 8.19.2. */
static bool is_oid(struct span content)
{
	bool is_first = true;

	if (!left_in(&content) || content.end[-1] >= 0x80)
		return false;
	for (; content.at < content.end; content.at++) {
		if (is_first && *content.at == 0x80)
			return false;
		is_first = *content.at < 0x80;
	}
	return true;
}

static bool take_oid(struct span *from, struct span *content)
{
	return take(from, TAG_OID, content) && is_oid(*content);
}

static bool take_bit_string(struct span *from)
{
	struct span content;

	return take(from, TAG_BIT_STRING, &content) && left_in(&content) && content.at[0] == 0;
}

/* All of it is whole elements. */
static bool is_well_formed(struct span content)
{
	struct span inner;
	uint8_t tag;

	while (left_in(&content))
		if (!take_any(&content, &tag, &inner))
			return false;
	return true;
}

/* RFC 5280 4.1.1.2. */
static bool take_algorithm(struct span *from)
{
	struct span algorithm, oid, parameters;
	uint8_t tag;

	if (!take(from, TAG_SEQUENCE, &algorithm) || !take_oid(&algorithm, &oid))
		return false;
	if (!left_in(&algorithm))
		return true;
	if (!take_any(&algorithm, &tag, &parameters) || left_in(&algorithm))
		return false;
	return (tag == TAG_NULL && !left_in(&parameters)) || (tag == TAG_OID && is_oid(parameters)) ||
	       (tag == TAG_SEQUENCE && is_well_formed(parameters));
}

/* RFC 3629 4. */
static size_t utf8_length(const uint8_t *at, size_t left)
{
	uint8_t least = 0x80, most = 0xbf;
	size_t length;

	if (at[0] < 0x80)
		return 1;
	if (at[0] < 0xc2 || at[0] > 0xf4)
		return 0;
	length = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
	least = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : least;
	most = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : most;
	if (length > left || at[1] < least || at[1] > most)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

static bool is_text(uint8_t tag, struct span content)
{
	size_t n;

	if (tag != TAG_UTF8_STRING && tag != TAG_PRINTABLE_STRING && tag != TAG_IA5_STRING && tag != TAG_T61_STRING)
		return false;
	if (!left_in(&content))
		return false;
	for (; content.at < content.end; content.at += n) {
		n = tag == TAG_UTF8_STRING ? utf8_length(content.at, left_in(&content)) : *content.at < 0x80;
		if (!n || *content.at < 0x20 || *content.at == 0x7f)
			return false;
	}
	return true;
}

static uint64_t hash(uint64_t hash, uint8_t byte)
{
	return (hash ^ byte) * 0x100000001b3u; /* FNV-1a */
}

/* Without case and spaces. */
static uint64_t hash_attribute(struct span oid, struct span value)
{
	uint64_t sum = 0xcbf29ce484222325u;

	for (; oid.at < oid.end; oid.at++)
		sum = hash(sum, *oid.at);
	for (; value.at < value.end; value.at++)
		if (*value.at != ' ')
			sum = hash(sum, *value.at >= 'A' && *value.at <= 'Z' ? *value.at | 0x20 : *value.at);
	return sum;
}

/* RFC 5280 4.1.2.4: a SEQUENCE of SETs of attributes. Those of one SET have no order. */
static bool read_name(struct span name, uint64_t *fingerprint)
{
	struct span set, attribute, oid, value;
	uint8_t tag;

	*fingerprint = 0;
	while (left_in(&name)) {
		if (!take(&name, TAG_SET, &set) || !left_in(&set))
			return false;
		while (left_in(&set)) {
			if (!take(&set, TAG_SEQUENCE, &attribute) || !take_oid(&attribute, &oid) ||
			    !take_any(&attribute, &tag, &value) || left_in(&attribute) || !is_text(tag, value))
				return false;
			*fingerprint += hash_attribute(oid, value);
		}
	}
	return true;
}

static bool take_name(struct span *from)
{
	struct span name;
	uint64_t fingerprint;

	return take(from, TAG_SEQUENCE, &name) && read_name(name, &fingerprint);
}

/* RFC 5280 4.1.2.5: YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ. */
static bool take_time(struct span *from)
{
	struct span content;
	uint8_t tag;

	if (!take_any(from, &tag, &content) || (tag != TAG_UTC_TIME && tag != TAG_GENERALIZED_TIME) ||
	    left_in(&content) != (tag == TAG_UTC_TIME ? 13 : 15) || content.end[-1] != 'Z')
		return false;
	for (; content.at < content.end - 1; content.at++)
		if (*content.at < '0' || *content.at > '9')
			return false;
	return true;
}

static bool take_validity(struct span *from)
{
	struct span validity;

	return take(from, TAG_SEQUENCE, &validity) && take_time(&validity) && take_time(&validity) &&
	       !left_in(&validity);
}

static bool take_key(struct span *from)
{
	struct span key;

	return take(from, TAG_SEQUENCE, &key) && take_algorithm(&key) && take_bit_string(&key) && !left_in(&key);
}

static bool take_version(struct span *from)
{
	struct span version, number;

	return take(from, TAG_VERSION, &version) && take_integer(&version, &number) && !left_in(&version) &&
	       left_in(&number) == 1 && number.at[0] <= 2;
}

/* RFC 5280 4.1.2.9. */
static bool take_extensions(struct span *from)
{
	struct span outer, list, extension, content;

	if (!take(from, TAG_EXTENSIONS, &outer) || !take(&outer, TAG_SEQUENCE, &list) || left_in(&outer) ||
	    !left_in(&list))
		return false;
	while (left_in(&list)) {
		if (!take(&list, TAG_SEQUENCE, &extension) || !take_oid(&extension, &content))
			return false;
		if (left_in(&extension) && *extension.at == TAG_BOOLEAN &&
		    (!take(&extension, TAG_BOOLEAN, &content) || left_in(&content) != 1 || *content.at != 0xff))
			return false;
		if (!take(&extension, TAG_OCTET_STRING, &content) || left_in(&extension))
			return false;
	}
	return true;
}

/* RFC 5280 4.1. Version 1 has neither its number nor extensions. */
static bool take_body(struct span *from, struct span *subject)
{
	struct span body, serial;
	bool has_version;

	if (!take(from, TAG_SEQUENCE, &body))
		return false;
	has_version = left_in(&body) && *body.at == TAG_VERSION;
	if (has_version && !take_version(&body))
		return false;
	if (!take_integer(&body, &serial) || !take_algorithm(&body) || !take_name(&body) || !take_validity(&body))
		return false;
	subject->at = body.at;
	if (!take_name(&body))
		return false;
	subject->end = body.at;
	return take_key(&body) && (!left_in(&body) || (has_version && take_extensions(&body))) && !left_in(&body);
}

bool tls_certificate_read(const uint8_t *bytes, size_t length, struct tls_certificate *certificate)
{
	struct span all = {bytes, bytes + length}, content, subject;

	if (!take(&all, TAG_SEQUENCE, &content) || !take_body(&content, &subject) || !take_algorithm(&content) ||
	    !take_bit_string(&content) || left_in(&content))
		return false;
	certificate->length = (size_t)(all.at - bytes);
	certificate->subject = (size_t)(subject.at - bytes);
	certificate->subject_length = left_in(&subject);
	return true;
}

bool tls_name_fingerprint(const uint8_t *name, size_t length, uint64_t *fingerprint)
{
	struct span all = {name, name + length}, content;

	return take(&all, TAG_SEQUENCE, &content) && !left_in(&all) && read_name(content, fingerprint);
}
