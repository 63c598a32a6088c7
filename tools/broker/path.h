/* The path of a user's broker, and whether a broker listens there. */
#pragma once

#include <sys/un.h>

/* The socket's path: in $XDG_RUNTIME_DIR/holdline (/run/user/UID/holdline without the variable), or in a folder of ours
 * in /tmp. The folder is made if it is missing. It must be a folder of the user's that nobody else can enter or
 * replace. 0, or -errno (-EPERM: it is not). */
int broker_path_find(char path[sizeof(((struct sockaddr_un *)0)->sun_path)]) __attribute__((warn_unused_result));

/* The same without making anything. */
int broker_path_look(char path[sizeof(((struct sockaddr_un *)0)->sun_path)]) __attribute__((warn_unused_result));

/* An AF_UNIX address. -ENAMETOOLONG if the path doesn't fit. */
int broker_path_address(const char *path, struct sockaddr_un *address) __attribute__((warn_unused_result));

/* A connection to the broker at `path`, close-on-exec; or -errno: there is none. Never blocks. */
int broker_path_connect(const char *path) __attribute__((warn_unused_result));
