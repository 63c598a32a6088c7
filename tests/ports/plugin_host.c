/* Loads plugin.c as the C library loads its own modules (iconv, NSS): without libdl. Only for a glibc before 2.34. */
#include <stdio.h>

void *__libc_dlopen_mode(const char *path, int mode);
void *__libc_dlsym(void *object, const char *name);

int main(int argc, char **argv)
{
	void *plugin = argc > 1 ? __libc_dlopen_mode(argv[1], 0x80000002) : NULL; /* RTLD_NOW, as libc has it */
	void (*run)(void) = plugin ? (void (*)(void))__libc_dlsym(plugin, "run") : NULL;

	if (!run) {
		puts("no plug-in");
		return 1;
	}
	run();
	return 0;
}
