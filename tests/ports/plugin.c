/* What comes by a plug-in alone with a glibc before 2.34: libdl and librt, which the program (plugin_host.c) has not.
 * And closefrom(), which that has not at all, on a kernel without close_range(2). Prints what works. */
#include <aio.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIRST 10
#define END 700

static void read_by_aio(void)
{
	static char bytes[10];
	struct aiocb control = {.aio_fildes = open("/bin/sh", O_RDONLY), .aio_buf = bytes, .aio_nbytes = sizeof bytes};
	const struct aiocb *list[] = {&control};

	if (aio_read(&control) < 0 || aio_suspend(list, 1, NULL) < 0)
		perror("aio_read");
	printf("aio_read %zd\n", aio_return(&control));
}

static void refuse_close_range(void)
{
	struct sock_filter program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
					BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 436, 0, 1), /* close_range */
					BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
					BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog filter = {sizeof program / sizeof program[0], program};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
		perror("seccomp");
}

static void close_all(void (*call)(int))
{
	int n_left = 0;

	refuse_close_range();
	for (int fd = FIRST; fd < END; fd++)
		if (dup2(1, fd) < 0)
			perror("dup2");
	call(FIRST);
	for (int fd = 0; fd < END; fd++)
		n_left += fcntl(fd, F_GETFD) >= 0;
	printf("closefrom leaves %d\n", n_left < FIRST ? 0 : n_left);
}

void run(void);
void run(void)
{
	void (*call)(int);

	printf("dlopen %d\n", dlopen("libm.so.6", RTLD_NOW) != NULL);
	read_by_aio();
	call = (void (*)(int))dlsym(RTLD_DEFAULT, "closefrom");
	if (call)
		close_all(call);
}
