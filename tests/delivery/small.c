/*
 * A 32-bit program without a C library, for x86: writes its environment, a variable a line.
 */
__asm__(".globl _start\n_start:\n\tpush %esp\n\tcall begin\n");

static int call(int number, int one, const void *two, int three)
{
	int result;

	__asm__ volatile("int $0x80" : "=a"(result) : "0"(number), "b"(one), "c"(two), "d"(three) : "memory");
	return result;
}

/* The stack has the number of arguments, these, 0, and the environment. */
void begin(char **stack);
void begin(char **stack)
{
	char **variable = stack + 2 + (int)stack[0];

	for (; *variable; variable++) {
		int length = 0;

		while ((*variable)[length])
			length++;
		(*variable)[length] = '\n';
		call(4, 1, *variable, length + 1);
	}
	call(1, 0, 0, 0);
}
