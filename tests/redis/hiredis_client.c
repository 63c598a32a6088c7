/* hiredis in a loop: a connection for two commands. Usage: hiredis_client PORT N [dirty] */
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

static void ask(redisContext *context, const char *command, const char *expected)
{
	redisReply *reply = redisCommand(context, command);

	if (!reply || !reply->str || strcmp(reply->str, expected) != 0)
		exit(1);
	freeReplyObject(reply);
}

int main(int argc, char *argv[])
{
	int n = argc > 2 ? atoi(argv[2]) : 0;

	for (int i = 0; i < n; i++) {
		redisContext *context = redisConnect("127.0.0.1", atoi(argv[1]));

		if (!context || context->err)
			return 1;
		if (argc > 3)
			ask(context, "SELECT 3", "OK");
		ask(context, "SET k value", "OK");
		ask(context, "GET k", "value");
		redisFree(context);
	}
	return 0;
}
