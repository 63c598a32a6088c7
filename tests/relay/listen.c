/* Listens on its standard input, a bound socket that its caller keeps: so another process than the caller has called
 * listen(), and to a relay the port is none of the caller's own. */
#include <sys/socket.h>

int main(void)
{
	return listen(0, 4096) == 0 ? 0 : 1;
}
