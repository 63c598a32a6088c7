/* See path.h. */
#include "tools/broker/path.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pool/base/path_trust.h"

/* In /tmp anybody may have made the folder, even as a symbolic link. sudo(8) may leave us another user's
 * $XDG_RUNTIME_DIR, and that user could replace the folder at any time. */
static int prepare_folder(const char *parent, const char *folder, bool makes)
{
	struct stat status;

	if (stat(parent, &status) < 0)
		return -errno;
	if (!path_trust_is_steady(&status, geteuid()))
		return -EPERM;
	if (makes && mkdir(folder, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (lstat(folder, &status) < 0)
		return -errno;
	return path_trust_is_private(&status, geteuid()) ? 0 : -EPERM;
}

static int place_in(const char *parent, const char *folder, bool makes,
		    char path[sizeof(((struct sockaddr_un *)0)->sun_path)])
{
	size_t room = sizeof(((struct sockaddr_un *)0)->sun_path);

	if (snprintf(path, room, "%s/broker", folder) >= (int)room)
		return -ENAMETOOLONG;
	return prepare_folder(parent, folder, makes);
}

static int find(bool makes, char path[sizeof(((struct sockaddr_un *)0)->sun_path)])
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char usual[sizeof("/run/user/4294967295")], folder[PATH_MAX];

	/* cron(8) and others leave the variable out; while the user is logged in, the folder is there all the same
	 * (pam_systemd(8)), and the user's programs are to have one broker. */
	snprintf(usual, sizeof(usual), "/run/user/%u", (unsigned)geteuid());
	if (!runtime || runtime[0] != '/')
		runtime = usual;
	snprintf(folder, sizeof(folder), "%s/holdline", runtime);
	if (place_in(runtime, folder, makes, path) == 0)
		return 0;
	snprintf(folder, sizeof(folder), "/tmp/holdline-%u", (unsigned)geteuid());
	return place_in("/tmp", folder, makes, path);
}

int broker_path_find(char path[sizeof(((struct sockaddr_un *)0)->sun_path)])
{
	return find(true, path);
}

int broker_path_look(char path[sizeof(((struct sockaddr_un *)0)->sun_path)])
{
	return find(false, path);
}

int broker_path_address(const char *path, struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	strcpy(address->sun_path, path);
	return 0;
}

int broker_path_connect(const char *path)
{
	struct sockaddr_un address;
	int error = broker_path_address(path, &address);
	int fd;

	if (error)
		return error;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}
