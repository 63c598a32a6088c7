/* See path_trust.h. */
#include "pool/base/path_trust.h"

bool path_trust_is_private(const struct stat *status, uid_t user)
{
	return S_ISDIR(status->st_mode) && status->st_uid == user && !(status->st_mode & 077);
}

bool path_trust_is_steady(const struct stat *status, uid_t user)
{
	if (!S_ISDIR(status->st_mode) || (status->st_uid != user && status->st_uid != 0))
		return false;
	return !(status->st_mode & 022) || status->st_mode & S_ISVTX;
}

bool path_trust_is_log(const struct stat *status)
{
	return (S_ISREG(status->st_mode) && status->st_nlink == 1) || S_ISCHR(status->st_mode);
}
