/* The labels by which libraries tell of a handshake's secrets: those of draft-ietf-tls-keylogfile. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct handshake;

/* A line of the key log, for the handshake that it is of. What it does not know it leaves out. */
void key_log_note_line(struct handshake *handshake, const char *line);

/* The same, with the label and the secret apart. */
void key_log_note_secret(struct handshake *handshake, const char *label, const uint8_t *secret, size_t length);
