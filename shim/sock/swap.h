/*
 * Changing the file behind the program's descriptors while it looks elsewhere.
 *
 * dup3 over a registered descriptor silently loses its epoll registration (epoll(7), Q6), and a closed descriptor whose
 * duplicate lives leaves a ghost behind: so registrations are deleted before and made again after, on the final number.
 * One that can't be deleted may live on in a set whose number was closed and that is known by another one: its file
 * must stay what it is.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sock;

/* True if every number of the socket still is the connection's (SO_COOKIE): to be asked, beside the ledger, before
 * anything is put over them. */
bool swap_is_ours(const struct sock *sock);

/* Puts the file of `source` under every number of the socket. The close-on-exec flag of each stays. 0 or -errno;
 * after a failure the numbers are as they were. Locked. */
int swap_files(struct sock *sock, int source) __attribute__((warn_unused_result));

/* The two halves of what swap_files() does about epoll, for a replacement that takes its time. False: the state of a
 * registration can't be told, nothing was done. */
bool swap_take_registrations_out(struct sock *sock) __attribute__((warn_unused_result));
void swap_bring_registrations_back(struct sock *sock);

/* Deletes the epoll registrations of a number that is about to be closed while its file lives on. False: not all
 * could be, and whoever kept the file would go on making events for the program. */
bool swap_delete_registrations(struct sock *sock, int fd);

/* Before a stub takes the connection's place: what its addresses are. False if that can't be told. */
bool swap_note_names(struct sock *sock) __attribute__((warn_unused_result));
